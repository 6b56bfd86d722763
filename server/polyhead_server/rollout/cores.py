"""One set of processors for the engines of all bundles."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyhead_server.engine import Engine, EngineFacts, Hidden
    from polyhead_server.packing import Packed

LOADING_YIELDS = 4
"""Turns that others have before each of a bundle that is being loaded."""
SHADOW_YIELDS = 32
"""Turns that others have before each of a shadow."""


class Cores:
    """Lets only so many batches be encoded at a time, whatever bundle they are for.

    Two engines that each take all processors would slow each other down by more than half. Turns
    are taken in order; those who yield come after so many others, and are never left out for good.

    Args:
        streams: batches at a time.
    """

    def __init__(self, streams: int) -> None:
        self._free = streams
        self._lock = threading.Lock()
        self._line: deque[threading.Lock] = deque()
        self._humble: deque[tuple[threading.Lock, int]] = deque()
        self._passed_over = 0

    def take(self, yields: int = 0) -> None:
        """Wait for a turn.

        Args:
            yields: turns that others may have before.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            if yields:
                self._humble.append((turn, yields))
            else:
                self._line.append(turn)
        turn.acquire()  # given by whoever has his turn behind him

    def give(self) -> None:
        """End a turn."""
        with self._lock:
            turn = self._next()
            if turn is None:
                self._free += 1
            else:
                turn.release()

    def _next(self) -> threading.Lock | None:
        due = self._humble and self._passed_over >= self._humble[0][1]
        if self._line and not due:
            self._passed_over += bool(self._humble)
            return self._line.popleft()
        self._passed_over = 0
        return self._humble.popleft()[0] if self._humble else None


class SharedEngine:
    """An engine that takes turns with those of other bundles.

    Args:
        engine: what encodes.
        cores: gives the turns.

    Attributes:
        yields: turns that it leaves to others before each of its own, where they want them.
    """

    def __init__(self, engine: Engine, cores: Cores) -> None:
        self.yields = 0
        self._engine = engine
        self._cores = cores

    @property
    def streams(self) -> int:
        """Calls that are worked on at the same time."""
        return self._engine.streams

    @property
    def apart(self) -> bool:
        """Whether it computes in threads of its own, and not in those that call it."""
        return self._engine.apart

    @property
    def facts(self) -> EngineFacts:
        """What the engine chose to be."""
        return self._engine.facts

    def infer(self, batch: Packed) -> Hidden:
        """Encode a batch: [N, H], when it is its turn."""
        self._cores.take(self.yields)
        try:
            return self._engine.infer(batch)
        finally:
            self._cores.give()

    def plain(self, batch: Packed) -> Hidden | None:
        """Encode a batch in f32, slowly: [N, H]. None where ``infer`` does so."""
        return self._engine.plain(batch)

    def close(self) -> None:
        """Give up threads and memory, once no call is under way."""
        self._engine.close()
