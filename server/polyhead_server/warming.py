"""Runs every batch length once before callers do: a length's first run is slow."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyhead_server.engine import Engine
    from polyhead_server.packing import Packed


class Warming:
    """Warms an engine, shortest batches first, in as many threads as it has streams.

    Args:
        engine: what is warmed.
        batches: one of each length, in order of length.
    """

    def __init__(self, engine: Engine, batches: Sequence[Packed]) -> None:
        self._engine = engine
        self._batches = batches
        self._done = 0
        self._stopped = threading.Event()
        self._rest: threading.Thread | None = None

    @property
    def left(self) -> int:
        """Lengths that were not run yet."""
        return len(self._batches) - self._done

    def run(self, seconds: float, progress: Callable[[int, int], None] | None = None) -> int:
        """Run lengths, one at least, and none more once the time is over.

        Args:
            seconds: time to take.
            progress: is told of every length: how many are done, and how many there are.

        Returns:
            Lengths that are left.
        """
        end = time.monotonic() + seconds
        while self.left and not self._stopped.is_set():
            self._warm(self._batches[self._done])
            self._done += 1
            if progress:
                progress(self._done, len(self._batches))
            if time.monotonic() >= end:
                break
        return self.left

    def run_rest(self) -> None:
        """Run what is left from a thread, between the batches of callers."""
        self._rest = threading.Thread(
            target=self.run, args=(math.inf,), name="polyhead-warming", daemon=True
        )
        self._rest.start()

    def stop(self) -> None:
        """Run no more, and wait for the length under way."""
        self._stopped.set()
        if self._rest is not None:
            self._rest.join()

    def _warm(self, batch: Packed) -> None:
        """Run a batch in every stream: the streams are told apart by the threads that call."""
        others = [_thread(self._engine, batch) for _ in range(self._engine.streams - 1)]
        self._engine.infer(batch)
        for other in others:
            other.join()


def _thread(engine: Engine, batch: Packed) -> threading.Thread:
    thread = threading.Thread(target=engine.infer, args=(batch,), daemon=True)
    thread.start()
    return thread
