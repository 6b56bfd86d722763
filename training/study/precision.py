"""One trained run served in int8, bf16 and fp32: its figures, and the speed of its encoder.

    python training/study/precision.py --data DATA --run RUN

Writes precision.json beside this file. The three take turns at the encoder, so that a busy machine
hurts all alike.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import median

from polyhead_server.cpus import usable_cpus
from polyhead_server.engine import EngineOptions
from polyhead_server.model import Model
from polyhead_server.openvino_engine import OpenVinoEngine
from polyhead_server.packing import pack
from polyhead_training.data import load_inputs
from polyhead_training.export import export_bundle
from polyhead_training.warm_start import CONFIG_COPY
from polyhead_training.workshop import Workshop, measure_parts, reopen_workshop

HERE = Path(__file__).parent
TEXT = "Apple's new store in Berlin opened to long queues, and the fans loved it."
TEXTS = (1, 4, 12)
"""Texts in a batch."""
ROUNDS = 60


def study(data: Path, run: Path, out: Path) -> dict[str, object]:
    """Export a run twice, and measure what the engine makes of it in three ways."""
    config, sources = load_inputs(run / CONFIG_COPY, data)
    shop = reopen_workshop(config, sources, run)
    models = {
        "int8": _exported(shop, out / "int8", "int8"),
        "fp32": _exported(shop, out / "fp32", "fp32"),
    }
    models["bf16"] = Model.load(out / "fp32", threads=usable_cpus())
    models["bf16"].engine.close()
    models["bf16"].engine = _in_bf16(models["bf16"])
    found: dict[str, object] = {"speed": _speeds(models)}
    for name, model in models.items():
        figures = measure_parts(model, config, sources)
        found[name] = {f"{m.source} {m.split} {m.metric}": round(m.value, 5) for m in figures}
        print(name, found[name], flush=True)
    return found


def _exported(shop: Workshop, place: Path, precision: str) -> Model:
    shutil.rmtree(place, ignore_errors=True)
    config = replace(shop.config, export=replace(shop.config.export, precision=precision))
    export_bundle(replace(shop, config=config), place, {})
    return Model.load(place, threads=usable_cpus())


def _in_bf16(model: Model) -> OpenVinoEngine:
    spec = model.bundle.manifest.encoder
    graph = model.bundle.path / spec.file
    options = EngineOptions(threads=usable_cpus(), precision="bf16")
    return OpenVinoEngine(graph, options, hidden_size=spec.hidden_size, exact=True)


def _speeds(models: dict[str, Model]) -> dict[str, dict[str, int]]:
    """Tokens a second by precision and tokens of the batch; medians."""
    window = models["int8"].tokenize(TEXT).windows[0]
    batches = [pack([window] * count) for count in TEXTS]
    seconds: dict[tuple[str, int], list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name, model in models.items():
            for batch in batches:
                start = time.perf_counter()
                model.engine.infer(batch)
                seconds[name, batch.used].append(time.perf_counter() - start)
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for (name, tokens), spent in seconds.items():
        found[name][str(tokens)] = round(tokens / median(spent))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="a run directory")
    parser.add_argument("--out", type=Path, default=Path("build/study/precision"))
    options = parser.parse_args()
    result = study(options.data, options.run, options.out)
    (HERE / "precision.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
