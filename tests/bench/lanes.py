"""Interactive calls beside bulk work: `python -m tests.bench.lanes`.

A stream of 64-token texts keeps the server busy, while single 16-token texts come in open loop at
several rates; the same rates without the stream stand beside it, in turns, several rounds. What is
to be seen: interactive calls wait for the batches under way and no longer, and bulk work goes on.
"""

from __future__ import annotations

import argparse
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server.model import Model
from polyhead_server.settings import DEFAULT_BUNDLE
from tests.bench import closed
from tests.bench.calls import ONE, STREAM, requests
from tests.bench.openloop import offer
from tests.bench.rounds import take_turns
from tests.bench.servers import address, serving
from tests.bench.texts import exact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.processes import Started
    from tests.bench.wire import Request

RATES = (20, 100, 300)
_DEADLINE = 1.0
_LEAD_SECONDS = 0.7


class _Mixed:
    """A server, and what is asked of it."""

    def __init__(
        self, server: Started, single: Sequence[Request], bulk: Sequence[Request], seconds: float
    ) -> None:
        self._server = server
        self._address = address(server)
        self._single = single
        self._bulk = bulk
        self._seconds = seconds
        self._seed = 0

    def bulk(self) -> dict[str, float]:
        """The stream by itself."""
        return self._press(self._seconds)

    def interactive(self, rate: float) -> dict[str, float]:
        """Single texts by themselves."""
        self._seed += 1
        answers = offer(
            self._address,
            self._single,
            rate=rate,
            seconds=self._seconds,
            deadline=_DEADLINE,
            seed=self._seed,
        )
        return answers.figures()

    def both(self, rate: float) -> dict[str, float]:
        """Single texts while the stream goes on before, during and after."""
        found: dict[str, float] = {}
        around = self._seconds + 3 * _LEAD_SECONDS
        stream = threading.Thread(target=lambda: found.update(self._press(around)))
        stream.start()
        time.sleep(_LEAD_SECONDS)
        figures = self.interactive(rate)
        stream.join()
        return figures | {"bulk_per_second": found["texts_per_second"]}

    def _press(self, seconds: float) -> dict[str, float]:
        return closed.press(self._server, self._address, self._bulk, STREAM, seconds).figures()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lanes", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each stretch")
    options = parser.parse_args()
    model = Model.load(options.bundle, threads=1)
    short, long = (exact(model.tokenize, tokens, 256) for tokens in (16, 64))
    tasks = [head.name for head in model.bundle.heads]
    model.close()
    with serving(options.bundle) as server:
        where = address(server)
        single = requests(short, ONE, tasks, where, _DEADLINE)
        mixed = _Mixed(server, single, requests(long, STREAM, tasks, where), options.seconds)
        arms = {"bulk": mixed.bulk}
        arms |= {f"alone/{rate}": partial(mixed.interactive, rate) for rate in RATES}
        arms |= {f"both/{rate}": partial(mixed.both, rate) for rate in RATES}
        samples = take_turns("lanes", arms, options.rounds)
    print(f"bulk by itself: {samples['bulk/texts_per_second'].median:,.0f} texts/s")
    print("calls/s  p50, p99 alone, ms  p50, p99 beside bulk, ms  refused  bulk, texts/s")
    for rate in RATES:
        figures = [
            *(1e3 * samples[f"alone/{rate}/{q}"].median for q in ("p50", "p99")),
            *(1e3 * samples[f"both/{rate}/{q}"].median for q in ("p50", "p99")),
        ]
        refused = samples[f"both/{rate}/refused_share"].median
        bulk = samples[f"both/{rate}/bulk_per_second"].median
        cells = "".join(f"{figure:>11.1f}" for figure in figures)
        print(f"{rate:>7}{cells}{refused:>13.3f}{bulk:>15,.0f}")


if __name__ == "__main__":
    main()
