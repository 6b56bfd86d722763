"""Open loop: calls begin when they are due, whether or not others have ended.

That is how independent callers behave. A latency counts from the moment at which its call was due,
so that no wait is left out, be it in the server or before it. Calls come at random (Poisson), from
a seed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench.closed import drain, quantile, readable
from tests.bench.wire import OK, Connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.wire import Reply, Request

REFUSED = "8"
"""RESOURCE_EXHAUSTED."""
EXPIRED = "4"
"""DEADLINE_EXCEEDED."""
_CONNECTIONS = 8
_LEAD_SECONDS = 0.3
_GRACE_SECONDS = 1.0
_PREFERRED = -10


@dataclass(slots=True)
class Answers:
    """What became of the calls of one stretch."""

    seconds: float
    """Length of the schedule."""
    deadline: float
    replies: list[Reply] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    """How much later than due each call was sent."""

    def figures(self) -> dict[str, float]:
        """Latencies, goodput and shares, by name."""
        accepted = [one.seconds for one in self.replies if one.status in (OK, EXPIRED)]
        refused = [one.seconds for one in self.replies if one.status == REFUSED]
        good = sum(one.status == OK and one.seconds <= self.deadline for one in self.replies)
        sent = max(1, len(self.lateness))
        return {
            **{f"p{round(100 * q)}": quantile(accepted, q) for q in (0.5, 0.95, 0.99)},
            "offered_per_second": sent / self.seconds,
            "goodput_per_second": good / self.seconds,
            "refused_share": len(refused) / sent,
            "expired_share": sum(one.status == EXPIRED for one in self.replies) / sent,
            "lost_share": 1 - len(self.replies) / sent,
            "refused_p99": quantile(refused, 0.99),
            "sent_late_p99": quantile(self.lateness, 0.99),
        }


def offer(
    address: str,
    requests: Sequence[Request],
    *,
    rate: float,
    seconds: float,
    deadline: float,
    seed: int,
) -> Answers:
    """Send calls at a rate for a while, whatever becomes of them.

    Args:
        address: host and port.
        requests: taken in turn.
        rate: calls a second.
        seconds: length of the schedule that is counted, after a short lead.
        deadline: seconds within which an answer is of use; the requests should carry it too.
        seed: of the times at which calls are due.
    """
    connections = [Connection(address) for _ in range(_CONNECTIONS)]
    supply = zip(itertools.cycle(requests), itertools.cycle(connections), strict=False)
    answers = Answers(seconds, deadline)
    with _preferred():
        start = time.perf_counter()
        counted = start + _LEAD_SECONDS
        for due in due_times(start, counted + seconds, rate, seed):
            _wait_until(due, connections, answers, counted)
            request, connection = next(supply)
            connection.start(request, due)
            connection.flush()
            if due >= counted:
                answers.lateness.append(time.perf_counter() - due)
        _finish(connections, answers, counted)
    return answers


@contextlib.contextmanager
def _preferred() -> Iterator[None]:
    """Put this thread before others where we may: callers elsewhere would not wait for the server.

    What it takes is little, and what it is late all the same is reported.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _PREFERRED)
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


def due_times(start: float, end: float, rate: float, seed: int) -> Iterator[float]:
    """Random moments between two others, as many a second on the mean as the rate says."""
    rng = random.Random(seed)
    at = start
    while (at := at + rng.expovariate(rate)) < end:
        yield at


def _wait_until(
    due: float, connections: Sequence[Connection], answers: Answers, counted: float
) -> None:
    """Take answers until the next call is due, and look at least once."""
    while True:
        ready = readable(connections, due - time.perf_counter())
        _take(ready, answers, counted)
        if time.perf_counter() >= due:
            return


def _take(connections: Sequence[Connection], answers: Answers, counted: float) -> None:
    for connection in connections:
        answers.replies += (one for one in connection.receive() if one.began >= counted)
        connection.flush()


def _finish(connections: Sequence[Connection], answers: Answers, counted: float) -> None:
    end = time.perf_counter() + answers.deadline + _GRACE_SECONDS
    while any(one.under_way for one in connections) and time.perf_counter() < end:
        _take(readable(connections, end - time.perf_counter()), answers, counted)
    drain(connections)
