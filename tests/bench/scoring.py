"""What a pool of processes gains over one: `python -m tests.bench.scoring`, with Ray installed.

Texts as long as news are scored by one process with one thread, by one with all threads, and by
actors of Ray with one thread each, in turns, several rounds. Time runs from the first fragment's
begin to the last one's end, without the start of engines and cluster, which is told apart.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server.bundle import open_bundle
from polyhead_server.cpus import usable_cpus
from polyhead_server.model import load_encoder
from polyhead_server.score.alone import score_alone
from polyhead_server.score.cluster import Pool, score_on_cluster
from polyhead_server.score.fragments import find_files
from polyhead_server.score.order import Fields, Order
from polyhead_server.score.run import identity_and_tasks, run
from polyhead_server.settings import DEFAULT_BUNDLE
from tests.bench.rounds import over, take_turns
from tests.bench.texts import news

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyhead_server.score.journal import Done


@dataclass
class Clock:
    """From the begin of the first fragment to the end of the last."""

    begin: float = 0.0
    end: float = 0.0
    rows: int = 0
    tokens: int = 0

    def take(self, done: Done) -> None:
        self.end = time.monotonic()
        self.begin = self.begin or self.end - done.seconds
        self.rows += done.scored
        self.tokens += done.tokens


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--fragment-rows", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--address", help="a Ray cluster; one on this machine if not given")
    parser.add_argument("--actors", type=int, default=0)
    given = parser.parse_args()
    cpus = usable_cpus()
    given.texts = news(load_encoder(open_bundle(given.bundle)).encode, given.rows, None).texts
    ways = {
        "one process, 1 thread": partial(score_alone, threads=1),
        f"one process, {cpus} threads": partial(score_alone, threads=cpus),
        "Ray, 1 thread an actor": partial(score_on_cluster, pool=Pool(given.address, given.actors)),
    }
    arms = {name: partial(measured, given, way) for name, way in ways.items()}
    samples = take_turns("scoring", arms, given.rounds, warm=False)
    first = next(iter(ways))
    print("| way | rows/s | tokens/s | over the first | start, s |\n|---|---|---|---|---|")
    for name in ways:
        samples.derive(f"{name}/ratio", over, f"{name}/rows", f"{first}/rows")
        rows, tokens, ratio, start = (
            samples[f"{name}/{figure}"].median for figure in ("rows", "tokens", "ratio", "start")
        )
        print(f"| {name} | {rows:,.0f} | {tokens:,.0f} | {ratio:.2f} | {start:.1f} |")


def measured(given: argparse.Namespace, way: Callable) -> dict[str, float]:
    """One way once: rows and tokens in a second, and seconds to start."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [json.dumps({"text": text}) for text in given.texts]
        source, output = Path(folder, "in.jsonl"), Path(folder, "out")
        source.write_text("\n".join(lines), encoding="utf-8")
        identity, tasks = identity_and_tasks(given.bundle, (), None)
        order = Order(given.bundle.resolve(), identity, tasks, output, Fields())
        clock, start = Clock(), time.monotonic()
        run(order, find_files([source], output), given.fragment_rows, way, clock.take)
    seconds = clock.end - clock.begin
    return {
        "rows": clock.rows / seconds,
        "tokens": clock.tokens / seconds,
        "start": clock.begin - start,
    }


if __name__ == "__main__":
    main()
