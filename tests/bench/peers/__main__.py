"""Ours beside its peers: a table, and build/bench-peers.json. Run as `make bench-peers`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from tests.bench.peers import NotInstalledError, Options, measure, missed, table
from tests.bench.peers.contenders import PEERS
from tests.bench.peers.driver import LENGTHS


def main() -> None:
    """Measure, print and write."""
    names = tuple(peer.name for peer in PEERS)
    parser = argparse.ArgumentParser(prog="make bench-peers", description=__doc__)
    parser.add_argument("--run", type=Path, help="training run whose weights the peers get")
    parser.add_argument("--news", type=Path, help="JSONL.gz with news texts (default: made up)")
    parser.add_argument("--peers", nargs="+", choices=names, default=names)
    parser.add_argument("--lengths", nargs="*", type=int, default=LENGTHS, help="tokens a text")
    parser.add_argument("--budget", type=float, default=420.0, help="seconds for everything")
    parser.add_argument("--mode", choices=("int8", "bfloat16", "float32", "compiled"))
    parser.add_argument("--out", type=Path, default=Path("build/bench-peers.json"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are ended on the way out
    try:
        found = measure(
            Options(
                run=options.run,
                news=options.news,
                peers=tuple(options.peers),
                lengths=tuple(options.lengths),
                budget_seconds=options.budget,
                mode=options.mode,
            )
        )
    except NotInstalledError as error:
        sys.exit(str(error))
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(table(found))
    for one in missed(found):
        print(f"missed: {one}")
    print(f"\nwritten: {options.out}")


if __name__ == "__main__":
    main()
