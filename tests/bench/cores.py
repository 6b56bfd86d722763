"""How to use several cores: one process, several workers, or one process with several streams.

    python -m tests.bench.cores

All servers run throughout and are pressed in turns, so that ratios within a round hold on a machine
that others use too. Every arm gets the same calls over the same number of connections, which are
many, since the kernel shares connections out among workers, not calls. A table is printed, and
build/cores.json written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server.cpus import usable_cpus
from polyhead_server.settings import DEFAULT_BUNDLE
from tests.bench.bench import MIX, Bench, Patience
from tests.bench.calls import Form
from tests.bench.rounds import Samples, over, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.bench.processes import Started

_KINDS = ("16", "64", MIX)
_CONNECTIONS = 16
BATCH = Form("batch32", 32, _CONNECTIONS, _CONNECTIONS)
SINGLE = Form("single", 1, 4 * _CONNECTIONS, _CONNECTIONS)
ALONE = Form("unloaded", 1, 1, 1)
_FILE = Path("build/cores.json")
_COLUMNS = (
    ("tokens_per_second", "tokens/s", 1.0),
    ("server_cpu_per_text", "CPU us/text", 1e6),
    ("p50", "p50 ms", 1e3),
    ("p99", "p99 ms", 1e3),
)
_COMPARED = ("tokens_per_second", "server_cpu_per_text", "p50")

_Arms = dict[str, "Callable[[], dict[str, float]]"]


def main() -> None:
    """Measure, print, and write build/cores.json."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cores")
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--news", type=Path, help="JSONL.gz with news texts (default: made up)")
    parser.add_argument("--cores", type=int, default=usable_cpus())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each stretch")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        patience = Patience(options.rounds, options.seconds, starts=1)
        bench = Bench(options.bundle, stack, patience, options.news)
        servers = {name: bench.serve(*flags) for name, flags in layouts(options.cores).items()}
        arms = _arms(bench, servers)
        samples = take_turns("cores", arms, options.rounds)
        for name, server in servers.items():
            samples.add(name, _size(server))
    _compare(samples, list(servers), arms)
    _print(samples, arms, list(servers))
    _write(samples, options)


def layouts(cores: int) -> dict[str, tuple[str, ...]]:
    """Flags of each way to use so many cores; the first is what the others are compared with."""
    return {
        f"1 process, {cores} threads": (f"--threads={cores}", "--streams=1"),
        f"{cores} workers, 1 thread each": (f"--workers={cores}", "--threads=1"),
        f"1 process, {cores} streams": (f"--threads={cores}", f"--streams={cores}"),
    }


def _arms(bench: Bench, servers: Mapping[str, Started]) -> _Arms:
    cases = [(form, kind) for form in (BATCH, SINGLE) for kind in _KINDS] + [(ALONE, "16")]
    return {
        f"{name}/{form.name}/{kind}": partial(bench.press_with, server, form, kind, bench.tasks)
        for form, kind in cases
        for name, server in servers.items()
    }


def _size(server: Started) -> dict[str, float]:
    """Of all its processes; pages that they share count for each of them."""
    return {"resident_mb": server.usage().resident / 1e6, "ready_seconds": server.seconds}


def _compare(samples: Samples, names: Sequence[str], arms: _Arms) -> None:
    first = names[0]
    for arm in arms:
        name, _, case = arm.partition("/")
        if name != first:
            for figure in _COMPARED:
                pair = (f"{arm}/{figure}", f"{first}/{case}/{figure}")
                samples.derive(f"ratio/{arm}/{figure}", over, *pair)


def _print(samples: Samples, arms: _Arms, names: Sequence[str]) -> None:
    width = max(map(len, arms))
    print(f"{'':{width}}" + "".join(f"{title:>14}" for _, title, _ in _COLUMNS) + "   over first")
    for arm in arms:
        cells = (f"{times * samples[f'{arm}/{name}'].median:14,.2f}" for name, _, times in _COLUMNS)
        print(f"{arm:{width}}{''.join(cells)}   {_ratio(samples, arm)}")
    print()
    for name in names:
        size = (
            f"{samples[f'{name}/{of}'].median:.3g} {of}" for of in ("resident_mb", "ready_seconds")
        )
        print(f"{name:{width}} {', '.join(size)}")


def _ratio(samples: Samples, arm: str) -> str:
    name = f"ratio/{arm}/tokens_per_second"
    return str(samples[name]) if name in samples else ""


def _write(samples: Samples, options: argparse.Namespace) -> None:
    content = {
        "machine": {"cpus": options.cores, "platform": platform.platform()},
        "rounds": options.rounds,
        "figures": {
            name: [float(f"{value:.5g}") for value in (found.median, found.low, found.high)]
            for name in samples.names()
            if (found := samples[name])
        },
    }
    _FILE.parent.mkdir(exist_ok=True)
    _FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten: {_FILE}")


if __name__ == "__main__":
    main()
