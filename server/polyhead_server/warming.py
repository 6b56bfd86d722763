"""Runs every batch length once before callers do: a length's first run is slow.

And it may be wrong: libraries choose their machine code by length, and that of one may have a fault
on some processor. All batches hold the same window again and again, whose vectors must be the same.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import structlog

from polyhead_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyhead_server.engine import Engine, Hidden
    from polyhead_server.packing import Packed

_log = structlog.get_logger(__name__)

_TOLERANCE = 0.1
"""Relative difference between a window in one batch and in another that passes: there is none where
the same is computed, and 0.5 in the case that was met."""


class Warming:
    """Warms an engine, shortest batches first, in as many threads as it has streams.

    Args:
        engine: what is warmed.
        batches: one of each length, in order of length; all of one window.
    """

    def __init__(self, engine: Engine, batches: Sequence[Packed]) -> None:
        self._engine = engine
        self._batches = batches
        self._done = 0
        self._wanted: Hidden | None = None
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

        Raises:
            StartError: the engine computes a length wrong.
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
        self._rest = threading.Thread(target=self._run_rest, name="polyhead-warming", daemon=True)
        self._rest.start()

    def stop(self) -> None:
        """Run no more, and wait for the length under way."""
        self._stopped.set()
        if self._rest is not None:
            self._rest.join()

    def _run_rest(self) -> None:
        try:
            self.run(math.inf)
        except StartError as error:
            _log.error("length_computed_wrong", reason=str(error))

    def _warm(self, batch: Packed) -> None:
        """Run a batch in every stream: the streams are told apart by the threads that call."""
        others = [_thread(self._engine, batch) for _ in range(self._engine.streams - 1)]
        try:
            found = _windows(self._engine.infer(batch), batch)
        finally:
            for other in others:
                other.join()
        if self._wanted is None:
            self._wanted = found[0]
        size = float(np.linalg.norm(self._wanted))
        off = float(np.linalg.norm(found - self._wanted, axis=(1, 2)).max())
        if not off <= _TOLERANCE * size:  # nor is nan
            facts = self._engine.facts
            raise StartError(
                f"{facts.device} does not compute batches of {len(batch.ids)} tokens aright with "
                f"{facts.engine} in {facts.weights} and {facts.floats}: their vectors are "
                f"{off / size:.2g} off"
            )


def _windows(hidden: Hidden, batch: Packed) -> Hidden:
    """Vectors of each window of a batch of windows that are alike, [B, W, H]."""
    size = batch.used // len(batch.starts)
    return hidden.take(np.add.outer(batch.starts, np.arange(size)), axis=0)


def _thread(engine: Engine, batch: Packed) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(Exception):  # the length is run by who waits for this, too
            engine.infer(batch)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
