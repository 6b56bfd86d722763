"""Runs the study: many small trainings with the real command, one row of results for each.

    python training/study/study.py --data DATA --encoder DIR --recurrent DIR [PART ...]

A run whose row is there already is not repeated, so the study can be stopped and taken up again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

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
    encoder = options.recurrent if variant.recurrent else options.encoder
    start, used = time.monotonic(), time.process_time()
    arguments = ["fit", str(config), "--data", str(options.data), "--out", str(place / "bundle")]
    status = main([*arguments, "--encoder", str(encoder), "--no-export"])
    if status:
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
        "steps": history[-1]["step"],
        "curve": [{"step": entry["step"], "figures": _values(entry)} for entry in history],
        "figures": figures,
    }


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
    parser.add_argument("--out", type=Path, default=Path("build/study"))
    options = parser.parse_args(arguments)
    done = known()
    for variant in variants():
        wanted = not options.parts or variant.part in options.parts
        if not wanted or variant.key in done or (variant.recurrent and not options.recurrent):
            continue
        row = run(variant, options)
        if row is None:
            return 1
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"done: {variant.key} in {row['seconds']} s", flush=True)
        shutil.rmtree(options.out / variant.key)
    return 0


if __name__ == "__main__":
    sys.exit(study(sys.argv[1:]))
