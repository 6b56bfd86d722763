"""Runs the study: many small trainings with the real command, one row of results for each.

    python training/study/study.py --data DATA --encoder DIR --recurrent DIR --bidirectional DIR
        --domain DIR --teacher RUN [PART ...]

Runs that start from what no option names are left out. A run whose row is there already is not
repeated, so the study can be stopped and taken up again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from after import speed, under_noise
from variants import Variant, variants

from polyhead_training.cli import main

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"


def run(variant: Variant, options: argparse.Namespace) -> dict[str, object] | None:
    """Train one variant and read its figures; None where it failed."""
    place = options.out / variant.key
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    config = place / "config.toml"
    config.write_text(variant.config(), encoding="utf-8")
    start, used = time.monotonic(), time.process_time()
    if main(_command(variant, options, config)):
        return None
    folder = place / "bundle.run"
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return {
        "key": variant.key,
        "part": variant.part,
        "name": variant.name,
        "seed": variant.seed,
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(time.process_time() - used, 1),
        "training_seconds": history[-1]["seconds"],
        "steps": history[-1]["step"],
        "curve": [{"step": entry["step"], "figures": _values(entry)} for entry in history],
        "figures": figures,
        **({"noise": under_noise(folder, options.data)} if variant.noisy else {}),
        **(
            {"speed": speed(folder, options.data)} if variant.part in ("layers", "encoders") else {}
        ),
    }


def _command(variant: Variant, options: argparse.Namespace, config: Path) -> list[str]:
    bundle = config.parent / "bundle"
    arguments = ["fit", str(config), "--data", str(options.data), "--out", str(bundle)]
    if variant.start == "teacher":
        return [
            *arguments,
            "--encoder",
            options.encoder,
            "--teacher",
            options.teacher,
            "--no-export",
        ]
    return [*arguments, "--encoder", getattr(options, variant.start), "--no-export"]


def _values(entry: dict[str, list[dict[str, object]]]) -> dict[str, object]:
    return {str(figure["source"]): figure["value"] for figure in entry["figures"]}


def known() -> set[str]:
    """Keys of the runs whose results are there."""
    if not RESULTS.exists():
        return set()
    return {json.loads(line)["key"] for line in RESULTS.read_text(encoding="utf-8").splitlines()}


def study(arguments: list[str]) -> int:
    """Run what is missing; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help="only these parts")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", required=True, help="the pretrained transformer")
    parser.add_argument("--recurrent", help="a recurrent language model made by pretrain")
    parser.add_argument("--bidirectional", help="one that reads both ways, made by pretrain")
    parser.add_argument("--domain", help="the transformer, pre-trained further by pretrain")
    parser.add_argument("--teacher", help="the run of teacher.toml")
    parser.add_argument("--out", type=Path, default=Path("build/study"))
    parser.add_argument("--keep", action="store_true", help="leave the folders of the runs")
    options = parser.parse_args(arguments)
    done = known()
    for variant in variants():
        wanted = not options.parts or variant.part in options.parts
        if not wanted or variant.key in done or not getattr(options, variant.start):
            continue
        row = run(variant, options)
        if row is None:
            return 1
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"done: {variant.key} in {row['seconds']} s", flush=True)
        if not options.keep:
            shutil.rmtree(options.out / variant.key)
    return 0


if __name__ == "__main__":
    sys.exit(study(sys.argv[1:]))
