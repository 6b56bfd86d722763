"""Load on one server of a pair: closed loop for what it can do, open loop for its latency."""

from __future__ import annotations

import itertools
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tests.bench.closed import FailedCallError
from tests.bench.openloop import due_times
from tests.bench.wire import OK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.wire import Reply, Request

PATIENCE = 60.0
"""Seconds that the answers of a stretch may take."""


class Line(Protocol):
    """A connection, or many, to one server."""

    def fileno(self) -> int: ...
    @property
    def under_way(self) -> int: ...
    def start(self, request: Request, began: float) -> None: ...
    def flush(self) -> None: ...
    def receive(self) -> list[Reply]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Target:
    """A server to load."""

    lines: Callable[[], list[Line]]
    cpu_seconds: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Rate:
    """What a stretch of closed loop gave."""

    texts_per_second: float
    server_cpu_per_text: float
    generator_cpu_per_text: float


def press(target: Target, requests: Sequence[Request], in_flight: int, seconds: float) -> Rate:
    """Keep so many calls under way for a while.

    The clock runs from one answer to another: it starts when the first calls have all been answered
    once, and stops at the last answer, so that servers that answer in bursts are measured by whole
    bursts. A slow server gets more time, until it has answered each place in the loop twice.

    Raises:
        FailedCallError: a call failed.
    """
    lines = target.lines()
    supply = itertools.cycle(requests)
    for number in range(in_flight):
        lines[number % len(lines)].start(next(supply), time.perf_counter())
    calls = texts = counted = 0
    began = ended = 0.0
    cpu = own = server = generator = 0.0
    while True:
        for line, reply in _replies(lines, PATIENCE):
            calls += 1
            texts += reply.request.texts if calls > in_flight else 0
            line.start(next(supply), reply.ended)
            if calls == in_flight:
                began, cpu, own = reply.ended, target.cpu_seconds(), time.process_time()
        now = time.perf_counter()
        if texts > counted:
            counted, ended = texts, now
            server, generator = target.cpu_seconds() - cpu, time.process_time() - own
        if now - began > seconds and calls >= 2 * in_flight:
            break
    _drain(lines)
    return Rate(counted / (ended - began), server / counted, generator / counted)


def offer(
    target: Target, requests: Sequence[Request], rate: float, seconds: float, seed: int
) -> list[float]:
    """Send calls when they are due (Poisson, by the seed), whatever becomes of them.

    Returns:
        The latency of each, from the moment at which it was due.

    Raises:
        FailedCallError: a call failed.
    """
    lines = target.lines()
    supply = zip(itertools.cycle(requests), itertools.cycle(lines), strict=False)
    found: list[float] = []
    start = time.perf_counter()
    for due in due_times(start, start + seconds, rate, seed):
        while (wait := due - time.perf_counter()) > 0:
            found += (reply.seconds for _, reply in _replies(lines, wait, patient=False))
        request, line = next(supply)
        line.start(request, due)
        line.flush()
    found += _drain(lines)
    return found


def _drain(lines: Sequence[Line]) -> list[float]:
    """Take the answers that are still to come, and close: how long each took."""
    found = []
    while waiting := [line for line in lines if line.under_way]:
        found += [reply.seconds for _, reply in _replies(waiting, PATIENCE)]
    for line in lines:
        line.close()
    return found


def _replies(
    lines: Sequence[Line], wait: float, *, patient: bool = True
) -> list[tuple[Line, Reply]]:
    for line in lines:
        line.flush()
    ready = select.select(lines, (), (), wait)[0]
    if patient and not ready:
        raise FailedCallError("no answer for a long time")
    found = [(line, reply) for line in ready for reply in line.receive()]
    for line in ready:
        line.flush()
    for _, reply in found:
        if reply.status != OK:
            raise FailedCallError(f"a call ended with status {reply.status}")
    return found
