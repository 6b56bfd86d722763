"""Server against raw engine, in one run: tables, build/bench.json and build/bench.png.

Everything that is compared takes turns in rounds; medians over the rounds are quoted with their
quartiles. See tests/bench/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from polyhead_server.settings import DEFAULT_BUNDLE
from tests.bench import peers, report
from tests.bench.bench import Bench, Patience
from tests.bench.figures import show
from tests.bench.parts import PARTS
from tests.bench.rounds import Samples
from tests.bench.targets import hold

_PEERS = "peers"
_KNOWN = (*PARTS, _PEERS)
_ALL = [name for name in _KNOWN if name != "raw"]
"""The raw engine alone is a part of throughput."""
_PEERS_LENGTHS = (16, 64)
"""Beside news; `make bench-peers` has all lengths, and takes longer."""


def main() -> None:
    """Measure, print, and write build/bench.json and build/bench.png."""
    options = _options()
    samples = Samples()
    with contextlib.ExitStack() as stack:
        bench = Bench(
            options.bundle,
            stack,
            Patience(options.rounds, options.seconds, options.starts),
            options.news,
            options.deadline,
            with_h2load=not options.no_h2load,
            flags=tuple(shlex.split(options.serve)),
        )
        for part in (name for name in options.parts if name in PARTS):
            begun = time.perf_counter()
            samples.update(PARTS[part](bench))
            print(f"{part}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    targets = hold(samples)
    show(samples, targets)
    options.out.mkdir(parents=True, exist_ok=True)
    file = report.write(bench, samples, targets, options.out)  # whatever becomes of the peers
    if _PEERS in options.parts:
        file = report.write(bench, samples, targets, options.out, _peers(options))
    print(f"\nwritten: {file}")
    if importlib.util.find_spec("matplotlib") is not None:
        from tests.bench.picture import draw  # noqa: PLC0415 - only where it is installed

        draw(samples, targets, options.out / "bench.png")
        print(f"written: {options.out / 'bench.png'}")


def _peers(options: argparse.Namespace) -> dict[str, Any] | None:
    """Other servers, where their environments are there."""
    if not peers.installed():
        print("\nno peers: `make bench-peers` installs and measures them")
        return None
    found = peers.measure(
        peers.Options(
            news=options.news, lengths=_PEERS_LENGTHS, budget_seconds=options.peers_seconds
        )
    )
    print(f"\nPeers\n{peers.table(found)}")
    for one in peers.missed(found):
        print(f"missed: {one}")
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--parts",
        type=lambda text: text.split(","),
        default=_ALL,
        help=f"some of {', '.join(_KNOWN)}, with commas between them",
    )
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--news", type=Path, help="JSONL.gz with news texts (default: made up)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.6, help="of each stretch")
    parser.add_argument("--starts", type=int, default=5, help="of a server, to time it")
    parser.add_argument("--deadline", type=float, default=0.1, help="of open-loop calls, seconds")
    parser.add_argument("--serve", default="", help='flags of the server, as in "--streams 2"')
    parser.add_argument("--no-h2load", action="store_true", help="make all load in Python")
    parser.add_argument("--peers-seconds", type=float, default=110.0, help="for all peers, about")
    parser.add_argument("--out", type=Path, default=Path("build"))
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in _KNOWN]:
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(_KNOWN)}")
    return options


if __name__ == "__main__":
    main()
