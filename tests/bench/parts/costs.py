"""What metrics, the access log and tracing cost: the same load with and without each, in turns."""

from __future__ import annotations

import threading
import urllib.request
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.calls import SINGLE
from tests.bench.rounds import Samples, over, take_turns
from tests.bench.servers import address

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.bench import Bench
    from tests.bench.processes import Started

_KIND = "16"
_SCRAPE_SECONDS = 1.0


def measure(bench: Bench) -> Samples:
    """Single 16-token texts, on which anything that is done for each call weighs most."""
    plain = bench.serve("--metrics-port=-1")
    tracing = ("--otlp-endpoint", f"http://{address(bench.echo)}")
    press = partial(bench.press_with, form=SINGLE, kind=_KIND, tasks=bench.tasks)
    arms: dict[str, Callable[[], dict[str, float]]] = {
        "plain": partial(press, plain),
        "metrics": partial(_scraped, bench.server, partial(press, bench.server)),
        "access_log": partial(press, bench.serve("--metrics-port=-1", "--access-log")),
        "tracing": partial(press, bench.serve("--metrics-port=-1", *tracing)),
    }
    named = {f"costs/{name}": arm for name, arm in arms.items()}
    samples = take_turns("costs", named, bench.patience.rounds)
    for name in arms.keys() - {"plain"}:
        for figure in ("texts_per_second", "server_cpu_per_text"):
            names = (f"costs/{arm}/{figure}" for arm in (name, "plain"))
            samples.derive(f"cost_of/{name}/{figure}", over, *names)
    return samples


def _scraped(server: Started, press: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Press while the server's metrics are read once a second, as Prometheus would at the most."""
    over = threading.Event()

    def scrape() -> None:
        while True:
            with urllib.request.urlopen(server.said("metrics")) as answer:  # noqa: S310 - ours
                answer.read()
            if over.wait(_SCRAPE_SECONDS):
                return

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        return press()
    finally:
        over.set()
        thread.join()
