"""The results for programs: one JSON file."""

from __future__ import annotations

import json
import math
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from polyhead_server.cpus import usable_cpus
from tests.bench import h2load
from tests.bench.bench import LENGTHS, MIX

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.bench import Bench
    from tests.bench.rounds import Samples
    from tests.bench.targets import Held


def write(
    bench: Bench,
    samples: Samples,
    targets: Sequence[Held],
    folder: Path,
    peers: dict[str, Any] | None = None,
) -> Path:
    """Write bench.json: machine, ratios, targets, and every figure with its quartiles."""
    content = {
        "machine": {"cpus": usable_cpus(), "platform": platform.platform()},
        "server": version("polyhead-server"),
        "bundle": f"{bench.bundle.name} {bench.bundle.version}",
        "flags": list(bench.flags),
        "generator": "h2load" if bench.with_h2load and h2load.available() else "python",
        "rounds": bench.patience.rounds,
        "seconds": bench.patience.seconds,
        "deadline": bench.deadline,
        "notes": bench.notes,
        "ratios": _ratios(samples),
        "targets": [held.as_json() for held in targets],
        "peers": peers,
        "figures": {name: _figure(samples, name) for name in sorted(samples.names())},
    }
    file = folder / "bench.json"
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return file


def _ratios(samples: Samples) -> dict[str, float]:
    """The headlines: medians of ratios within one round."""
    names = {
        "single16_over_raw": "over_raw/single/16",
        "single64_over_raw": "over_raw/single/64",
        "four_tasks_over_one": "four_tasks_over_one",
        "cpu_single16_over_raw": "cpu_over_raw/single/16",
        "unloaded_over_parts": "unloaded_over_parts",
        "p99_at_70_over_unloaded": "p99_at_70_over_unloaded",
        "goodput_at_150_over_peak": "open/150/goodput_over_peak",
        "gateway_over_direct": "gateway_over_direct",
    }
    found = {key: samples[name].median for key, name in names.items() if name in samples}
    for key, prefix, worst in (
        ("batch32_over_raw", "over_raw/batch32", min),
        ("cpu_batch32_over_raw", "cpu_over_raw/batch32", max),
    ):
        names_ = [f"{prefix}/{kind}" for kind in (*LENGTHS, MIX) if f"{prefix}/{kind}" in samples]
        if names_:
            found[key] = worst(samples[name].median for name in names_)
    return {name: round(value, 3) for name, value in found.items()}


def _figure(samples: Samples, name: str) -> Any:
    figure = samples[name]
    values = (figure.median, figure.low, figure.high)
    median, low, high = (None if math.isnan(one) else float(f"{one:.5g}") for one in values)
    return {"median": median, "quartiles": [low, high]}
