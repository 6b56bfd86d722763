"""Latency of single 16-token texts: unloaded, and in open loop at shares of the capacity."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench import closed
from tests.bench.calls import ONE, SINGLE, echo_requests, requests
from tests.bench.openloop import offer
from tests.bench.rounds import Samples, over, take_turns
from tests.bench.servers import address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.bench import Bench
    from tests.bench.processes import Started
    from tests.bench.wire import Request

LEVELS = (30, 70, 90, 150)
"""Per cent of the capacity."""
KIND = "16"
_OPEN_SECONDS = 4.0
"""In units of the patience's seconds: a p99 needs many calls."""


class _Latency:
    """Arms that share what is sent and the capacity that was measured last."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._address = address(bench.server)
        corpus = bench.corpora[KIND]
        self._calls = requests(corpus, ONE, bench.tasks, self._address)
        self._timed = requests(corpus, ONE, bench.tasks, self._address, bench.deadline)
        size = answer_bytes(self._address, self._calls[0])
        self._echoed = echo_requests(self._calls, size, address(bench.echo))
        self._capacity = self.capacity()["texts_per_second"]
        self._round = 0

    def capacity(self) -> dict[str, float]:
        """Texts a second, one a call, at the most."""
        figures = self._bench.press_with(self._bench.server, SINGLE, KIND, self._bench.tasks)
        self._capacity = figures["texts_per_second"]
        return figures

    def unloaded(self) -> dict[str, float]:
        """One call at a time to the server."""
        return self._one_at_a_time(self._bench.server, self._calls)

    def echo(self) -> dict[str, float]:
        """The same with as many bytes to a server that does nothing."""
        return self._one_at_a_time(self._bench.echo, self._echoed)

    def echo_capacity(self) -> dict[str, float]:
        """Calls a second that a server can take that does nothing."""
        echo, seconds = self._bench.echo, self._bench.patience.seconds
        return closed.press(echo, address(echo), self._echoed, SINGLE, seconds).figures()

    def raw(self) -> dict[str, float]:
        """One text at a time through the raw engine."""
        return self._bench.raw.one_by_one(KIND, self._bench.patience.seconds / 2)

    def level(self, percent: int) -> dict[str, float]:
        """Open loop at a share of the capacity that was measured last."""
        self._round += 1
        answers = offer(
            self._address,
            self._timed,
            rate=self._capacity * percent / 100,
            seconds=_OPEN_SECONDS * self._bench.patience.seconds,
            deadline=self._bench.deadline,
            seed=self._round,
        )
        figures = answers.figures()
        return figures | {"goodput_over_peak": figures["goodput_per_second"] / self._capacity}

    def _one_at_a_time(self, server: Started, calls: Sequence[Request]) -> dict[str, float]:
        seconds = self._bench.patience.seconds / 2
        return closed.press(server, address(server), calls, ONE, seconds).figures()


def measure(bench: Bench) -> Samples:
    """Unloaded latency beside its parts, capacity, and open loop at every level, in turns."""
    latency = _Latency(bench)
    arms: dict[str, Callable[[], dict[str, float]]] = {
        "raw_one/16": latency.raw,
        "echo/16": latency.echo,
        "echo_capacity/16": latency.echo_capacity,
        "unloaded/16": latency.unloaded,
        "capacity/16": latency.capacity,
    }
    arms |= {f"open/{level}": partial(latency.level, level) for level in LEVELS}
    samples = take_turns("latency", arms, bench.patience.rounds)
    parts = ("unloaded/16/p50", "raw_one/16/p50", "echo/16/p50")
    samples.derive("unloaded_over_parts", lambda all_, raw, echo: all_ / (raw + echo), *parts)
    samples.derive("p99_at_70_over_unloaded", over, "open/70/p99", "unloaded/16/p50")
    samples.derive("p99_at_150_over_deadline", lambda p99: p99 / bench.deadline, "open/150/p99")
    return samples


def answer_bytes(where: str, request: Request) -> int:
    """How many bytes a call is answered with."""
    connection = ONE.connection(where)
    connection.start(request, 0.0)
    connection.flush()
    replies = connection.receive()
    while not replies:
        connection.flush()
        replies = connection.receive()
    connection.close()
    return replies[0].bytes
