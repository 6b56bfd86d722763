"""The queue between the event loop, which fills it, and the engine's threads, which empty it."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, Generic

from polyhead_server.schedule import Entry, Item, Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyhead_server.lanes import Lane
    from polyhead_server.policy import FairLanes
    from polyhead_server.schedule import Call, Priority


class Waiting(Generic[Item, Output]):
    """Entries that wait for an engine, and who has one. Thread-safe.

    A batch is cut by the thread that has just been given an engine, so what comes while another
    batch runs still gets in.

    Args:
        lanes: hold the entries and pick those of a batch.
        budget: gives the tokens of a batch that is cut now, and the seconds that it should take.
        engines: batches that may run at the same time.
    """

    def __init__(
        self,
        lanes: FairLanes[Item, Output],
        budget: Callable[[], tuple[int, float]],
        engines: int = 1,
    ) -> None:
        self.engines = engines
        self._lanes = lanes
        self._budget = budget
        self._changed = threading.Condition()
        self._free = engines
        self._claims = 0
        self._closed = False
        self.cut_at = 0.0
        """Monotonic time at which the last batch was cut."""
        self.cut_tokens = 0
        """Tokens of the last batch; 0 once an engine is free."""

    @property
    def items(self) -> int:
        """Living items that wait."""
        return self._lanes.items

    @property
    def tokens(self) -> int:
        """Tokens of the living items that wait."""
        return self._lanes.tokens

    def lane(self, priority: Priority) -> Lane[Item, Output]:
        """A lane, to be asked for its counts."""
        return self._lanes.lanes[priority]

    def share(self, priority: Priority) -> float:
        """Part of the engine that a lane has at least, while it waits."""
        return self._lanes.shares[priority]

    def tokens_beside(self, priority: Priority) -> int:
        """Tokens of the living items in the other lane."""
        return self._lanes.tokens - self._lanes.lanes[priority].tokens

    def tokens_before(self, priority: Priority, deadline: float, now: float) -> int:
        """Tokens in a lane that go before a call with this deadline."""
        with self._changed:
            return self._lanes.lanes[priority].tokens_before(deadline, now)

    def add(self, call: Call[Output], items: Sequence[Item]) -> None:
        """Let a call's items wait, and wake a thread where the engine is free."""
        now = time.monotonic()
        entries = [Entry(call, index, item, item.tokens, now) for index, item in enumerate(items)]
        with self._changed:
            self._lanes.add(call, entries)
            if self._free:
                self._changed.notify()

    def release(self, call: Call[Output]) -> None:
        """Take a dead call's items out of the count; they are dropped when a batch is cut."""
        with self._changed:
            self._lanes.release(call)

    def cut(self) -> list[Entry[Item, Output]] | None:
        """Wait for an engine and for work, and take both: the next batch; None once closed."""
        with self._changed:
            while not self._closed:
                batch = self._next() if self._free else []
                if batch:
                    self._free -= 1
                    if self._free and self._lanes.items:
                        self._changed.notify()
                    return batch
                self._changed.wait()
        return None

    def claim(self) -> None:
        """Wait for an engine and take it, without a batch."""
        with self._changed:
            self._claims += 1
            while not self._free:
                self._changed.wait()
            self._claims -= 1
            self._free -= 1

    def free(self) -> None:
        """Give an engine back. A thread is woken only where there is something to do."""
        with self._changed:
            self._free += 1
            self.cut_tokens = 0
            if self._claims:
                self._changed.notify_all()
            elif self._lanes.items:
                self._changed.notify()

    def close(self) -> None:
        """Drop what waits, and let `cut` return None."""
        with self._changed:
            self._closed = True
            self._lanes.clear()
            self._changed.notify_all()

    def _next(self) -> list[Entry[Item, Output]]:
        """The next batch; no more than its part where other engines stand idle."""
        self.cut_at = time.monotonic()
        tokens, seconds = self._budget()
        part = math.ceil(self._lanes.tokens / self._free)
        batch = self._lanes.cut(min(tokens, part), self.cut_at, self.cut_at + seconds)
        self.cut_tokens = sum(entry.tokens for entry in batch)
        return batch
