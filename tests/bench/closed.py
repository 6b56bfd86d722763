"""Closed loop: so many calls are always under way. Says how much a server can do."""

from __future__ import annotations

import itertools
import select
import time
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from tests.bench.wire import OK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.calls import Form
    from tests.bench.processes import Started
    from tests.bench.wire import Connection, Reply, Request

LEAD_SECONDS = 0.2
"""Load before the measurement begins, so that the server is in its stride."""
_LEAST_CALLS = 4
"""Calls in the lead and in what counts, however long they take."""
_DRAIN_SECONDS = 30.0


class FailedCallError(Exception):
    """A call that should have gone well did not: figures of it would be worth nothing."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a stretch of load gave."""

    seconds: float
    texts: int
    tokens: int
    latencies: Sequence[float]
    server_cpu: float
    """Seconds of processor time that the server took."""
    generator_cpu: float
    """Seconds of processor time that the load's generator took."""

    def figures(self) -> dict[str, float]:
        """Throughput and costs, by name."""
        return {
            "tokens_per_second": self.tokens / self.seconds,
            "texts_per_second": self.texts / self.seconds,
            "server_cpu_per_text": self.server_cpu / self.texts,
            "generator_cpu_per_text": self.generator_cpu / self.texts,
            "p50": quantile(self.latencies, 0.5),
            "p99": quantile(self.latencies, 0.99),
        }


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which such a share of the values lies; NaN of none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else float("nan")


def press(
    server: Started,
    address: str,
    requests: Sequence[Request],
    form: Form,
    seconds: float,
    lead: float = LEAD_SECONDS,
) -> Tally:
    """Keep calls under way for a while, and count what comes back.

    Raises:
        FailedCallError: a call failed.
    """
    connections = [form.connection(address) for _ in range(form.connections)]
    supply = itertools.cycle(requests)
    start = time.perf_counter()
    for number in range(form.in_flight):
        connections[number % len(connections)].start(next(supply), start)
    for _ in _replies(connections, supply, start + lead):
        pass
    start, server_cpu, own_cpu = time.perf_counter(), server.cpu_seconds(), time.process_time()
    replies = list(_replies(connections, supply, start + seconds))
    server_cpu, own_cpu = server.cpu_seconds() - server_cpu, time.process_time() - own_cpu
    wall = time.perf_counter() - start
    drain(connections)
    fair = fair_seconds([one.ended for one in replies])
    return Tally(
        seconds=fair,
        texts=sum(one.request.texts for one in replies),
        tokens=sum(one.request.tokens for one in replies),
        latencies=[one.seconds for one in replies],
        server_cpu=server_cpu * fair / wall,
        generator_cpu=own_cpu * fair / wall,
    )


def fair_seconds(ends: Sequence[float]) -> float:
    """The time that so many answers take at the rate at which they came.

    The rate is the slope of a line through the count of answers over time. A few large calls, cut
    through by the beginning and the end of a stretch, so make it neither long nor short, nor do
    answers that come in bunches.

    Raises:
        FailedCallError: all came at once.
    """
    ends = sorted(ends)
    middle_count, middle = (len(ends) - 1) / 2, fmean(ends)
    spread = sum((end - middle) ** 2 for end in ends)
    rise = sum((end - middle) * (count - middle_count) for count, end in enumerate(ends))
    if not spread:
        raise FailedCallError("all answers came at once: measure for longer")
    return len(ends) * spread / rise


def drain(connections: Sequence[Connection]) -> None:
    """Take the answers that are still to come, so that the next stretch meets an idle server."""
    end = time.perf_counter() + _DRAIN_SECONDS
    while waiting := [one for one in connections if one.under_way]:
        for one in readable(waiting, end - time.perf_counter()):
            one.receive()
            one.flush()
        if time.perf_counter() > end:
            break
    for connection in connections:
        connection.close()


def readable(connections: Sequence[Connection], seconds: float) -> list[Connection]:
    """The connections on which something came, after so many seconds at most."""
    return select.select(connections, (), (), max(0.0, seconds))[0]


def _replies(
    connections: Sequence[Connection], supply: Iterator[Request], end: float
) -> Iterator[Reply]:
    """Answers until a moment, and at least some; each is followed by the next request."""
    for connection in connections:
        connection.flush()
    found = 0
    while (now := time.perf_counter()) < end or found < _LEAST_CALLS:
        for connection in readable(connections, end - now if now < end else _DRAIN_SECONDS):
            for reply in connection.receive():
                if reply.status != OK:
                    raise FailedCallError(f"a call ended with status {reply.status}")
                connection.start(next(supply), reply.ended)
                found += 1
                yield reply
            connection.flush()
