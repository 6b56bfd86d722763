"""A trial: a server is called all the while, a fault is done to it, and it is judged afterwards."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

import polyhead
from tests.chaos.server import seconds_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.server import Held, Server

DOCUMENTED = {
    *("OK", "CANCELLED", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "UNAUTHENTICATED"),
    *("RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "UNAVAILABLE"),
}
"""Statuses that a caller may be given for a fault that is not the engine's."""
RECOVERY_SECONDS = 5.0
_MEMORY_SLACK = 0.05, 12.0
"""Growth that is taken for what an allocator keeps: a share, and mebibytes."""
_AT_ONCE = 1_000
"""Calls that are under way at the same time before a trial begins: what a server needs for its
first burst it keeps for the next one, and that is no leak."""
_MOST_STRETCHES, _STEADY_MEBIBYTES = 12, 2.0
_THREAD_SLACK = 4
"""gRPC's own pool of threads breathes."""
_FILE_SLACK = 3
"""Connections of our own that are just being closed."""


@dataclass
class Result:
    """What came of a trial."""

    name: str
    calls: Counter[str] = field(default_factory=Counter)
    """Calls of the patient callers with retries, by how they ended."""
    faults: dict[str, Any] = field(default_factory=dict)
    """What was done to the server, in numbers."""
    slowest: float = 0.0
    """Seconds that the slowest of those calls took."""
    recovery: float = 0.0
    """Seconds from the end of the fault until a call without retries was answered."""
    before: Held | None = None
    after: Held | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Calls that were not answered."""
        return self.calls.total() - self.calls["OK"]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "calls": dict(self.calls), "lost": self.lost}


class Trial:
    """Judges a server at the end of its `with`.

    Args:
        name: of the trial.
        server: what is tried.
        callers: clients with the retries of the client library that call all the while.
        may_lose: whether calls of theirs may fail, with the statuses given.
    """

    def __init__(
        self, name: str, server: Server, *, callers: int = 2, may_lose: tuple[str, ...] = ()
    ) -> None:
        self.result = Result(name)
        self._server = server
        self._callers = callers
        self._may_lose = may_lose
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self.result.before = self._in_its_stride()
        self.result.calls.clear()
        self.result.slowest = 0.0
        return self

    def _in_its_stride(self) -> Held:
        """What the server holds once some load does not make it hold more."""
        held = self._server.held()
        for _ in range(_MOST_STRETCHES):
            with self.calls(0.5):
                self._server.press(_AT_ONCE)
            before, held = held, self._server.held()
            if held.mebibytes < before.mebibytes + _STEADY_MEBIBYTES:
                break
        return held

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._judge()

    @contextlib.contextmanager
    def calls(self, seconds: float = 0.0) -> Iterator[None]:
        """Have callers call while the block lasts, and at least so many seconds."""
        self._stop.clear()
        threads = [threading.Thread(target=self._call) for _ in range(self._callers)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        try:
            yield
            time.sleep(max(0.0, end - time.monotonic()))
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def expect(self, good: object, problem: str) -> None:
        """Note a problem unless something is so."""
        if not good:
            self.result.problems.append(problem)

    def _call(self) -> None:
        with polyhead.Client(self._server.address, timeout=20.0) as client:
            while not self._stop.is_set():
                start = time.monotonic()
                try:
                    client.annotate("the fans in the word")
                    status = "OK"
                except polyhead.PolyheadError as error:
                    status = str(error.code)
                    time.sleep(0.01)
                self.result.slowest = max(self.result.slowest, time.monotonic() - start)
                self.result.calls[status] += 1

    def _judge(self) -> None:
        result, server = self.result, self._server
        start = time.monotonic()
        self.expect(server.alive, "the server has ended")
        seconds_until(lambda: server.call(1.0) == "OK", 2 * RECOVERY_SECONDS)
        result.recovery = max(result.recovery, time.monotonic() - start)
        settled = seconds_until(self._is_settled, 2 * RECOVERY_SECONDS)
        result.after = server.held()
        self.expect(result.recovery < RECOVERY_SECONDS, "no answer within the time to recover")
        self.expect(settled < RECOVERY_SECONDS, f"holds more than before: {result.after}")
        lost = set(result.calls) - {"OK", *self._may_lose}
        self.expect(not lost, f"calls were lost with {sorted(lost)}")
        self.expect(set(result.calls) <= DOCUMENTED | set(self._may_lose), "undocumented status")
        self.expect(result.calls["OK"] or not self._callers, "no call was answered")

    def _is_settled(self) -> bool:
        before, now = self.result.before, self._server.held()
        assert before is not None
        share, room = _MEMORY_SLACK
        return (
            now.mebibytes <= before.mebibytes * (1 + share) + room
            and now.threads <= before.threads + _THREAD_SLACK
            and now.files <= before.files + _FILE_SLACK
        )
