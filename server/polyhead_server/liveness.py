"""Whether the process is alive: runs of its engine end, work is taken up, the event loop turns."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Generic

import structlog

from polyhead_server.schedule import Item, Output
from polyhead_server.tasks import stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyhead_server.worker import Encode, Ran

_log = structlog.get_logger(__name__)

_LONGEST_LOOK = 1.0
"""Seconds between two looks."""
_LOOKS = 4
"""Looks in the time that a run may last, at least."""


class Runs(Generic[Item, Output]):
    """Since when each run of an engine has been going on. Thread-safe."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self.begun = 0
        """Runs so far; threads may miscount each other, but it never stands still."""

    def around(self, encode: Encode[Item, Output]) -> Encode[Item, Output]:
        """The same, watched: from the call to the end of what it gave, which is called next."""

        def watched(items: list[Item]) -> Callable[[], Ran[Output]]:
            self.begun += 1
            thread = threading.get_ident()
            self._since[thread] = time.monotonic()
            try:
                finish = encode(items)
            except BaseException:
                del self._since[thread]
                raise
            return lambda: self._finish(thread, finish)

        return watched

    @property
    def under_way(self) -> int:
        """Runs that have not ended."""
        return len(self._since)

    def longest(self, now: float) -> float:
        """Seconds that the oldest run has been going on, at a monotonic time; 0 without one."""
        return now - min(tuple(self._since.values()), default=now)

    def _finish(self, thread: int, finish: Callable[[], Ran[Output]]) -> Ran[Output]:
        try:
            return finish()
        finally:
            del self._since[thread]


class Liveness:
    """Looks at the engine, and says when it is stuck and when it goes on.

    Args:
        runs: the engine's.
        waiting: gives how many items wait for it.
        limit: seconds that a run may last, and that work may wait for one to begin; 0 for ever.
        changed: called on the event loop at every look.

    Attributes:
        stuck: whether the engine is stuck, as of the last look.
    """

    def __init__(
        self,
        runs: Runs[Item, Output],
        waiting: Callable[[], int],
        limit: float,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.stuck = False
        self._runs = runs
        self._waiting = waiting
        self._limit = limit
        self._changed = changed
        self._pause = min(_LONGEST_LOOK, limit / _LOOKS) if limit else _LONGEST_LOOK
        self._begun = -1
        self._moved = self._looked = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether engine and event loop go on; may be asked from any thread."""
        return not self.stuck and not self._is_late(time.monotonic())

    def start(self) -> None:
        """Begin to look."""
        self._looked = time.monotonic()
        self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no more."""
        await stopped(self._task)
        self._task = None

    def look(self, now: float) -> None:
        """See whether the engine is stuck at a monotonic time, and log it where that changed."""
        seconds = max(self._runs.longest(now), self._unattended(now))
        stuck = 0 < self._limit < seconds
        if stuck and not self.stuck:
            _log.error("engine_stuck", seconds=round(seconds, 1), limit=self._limit)
        elif self.stuck and not stuck:
            _log.warning("engine_goes_on")
        self.stuck = stuck
        self._looked = now
        self._changed()

    def _unattended(self, now: float) -> float:
        """Seconds that work has waited without any run: the engine's threads are gone."""
        begun = self._runs.begun
        if begun != self._begun or self._runs.under_way or not self._waiting():
            self._begun = begun
            self._moved = now
        return now - self._moved

    def _is_late(self, now: float) -> bool:
        running = self._task is not None
        return running and 0 < self._limit < now - self._looked - self._pause

    async def _watch(self) -> None:
        while True:
            self.look(time.monotonic())
            await asyncio.sleep(self._pause)
