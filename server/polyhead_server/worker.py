"""The engine's thread: cuts a batch, runs it, hands what became of it to the event loop."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog

from polyhead_server.schedule import Item, Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyhead_server.schedule import Call, Entry
    from polyhead_server.waiting import Waiting

_log = structlog.get_logger(__name__)

OutputT_co = TypeVar("OutputT_co", covariant=True)


class Ran(Protocol[OutputT_co]):
    """What one run of the engine gives back."""

    @property
    def outputs(self) -> Sequence[OutputT_co]:
        """One per item, in order."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens of the items."""
        ...

    @property
    def wasted_tokens(self) -> int:
        """Tokens that only filled the batch up."""
        ...

    @property
    def encode_seconds(self) -> float:
        """Time in the encoder."""
        ...

    @property
    def heads_seconds(self) -> float:
        """Time in the heads."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Item, Output]):
    """What became of some entries."""

    entries: list[Entry[Item, Output]]
    started: float
    """Monotonic time at which the run began."""
    result: Ran[Output] | Exception


class EngineThread(Generic[Item, Output]):
    """Runs batches until the queue is closed. No exception of a run ends it.

    Args:
        run: runs a batch; called by this thread only.
        waiting: where the batches come from.
        cut: called when a batch has left the queue, before it runs.
        done: called with what became of a batch.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Ran[Output]],
        waiting: Waiting[Item, Output],
        *,
        cut: Callable[[], None],
        done: Callable[[list[Outcome[Item, Output]]], None],
    ) -> None:
        self._run = run
        self._waiting = waiting
        self._cut = cut
        self._done = done
        self._thread = threading.Thread(target=self._work, name="polyhead-engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, limit: float) -> None:
        """Wait until the thread has ended, `limit` seconds at most."""
        if self._thread.is_alive():
            self._thread.join(limit)

    def _work(self) -> None:
        while (batch := self._waiting.cut()) is not None:
            self._cut()
            self._done(self._attempt(batch))

    def _attempt(self, batch: list[Entry[Item, Output]]) -> list[Outcome[Item, Output]]:
        """Run a batch; where it fails, run each call's part alone, so that none harms another."""
        outcome = self._try(batch)
        if not isinstance(outcome.result, Exception):
            return [outcome]
        groups: dict[Call[Output], list[Entry[Item, Output]]] = {}
        for entry in batch:
            groups.setdefault(entry.call, []).append(entry)
        if len(groups) == 1:
            return [outcome]
        _log.warning("batch_failed", calls=len(groups), next="each call is run alone")
        return [self._try(group) for group in groups.values() if not group[0].dead]

    def _try(self, entries: list[Entry[Item, Output]]) -> Outcome[Item, Output]:
        started = time.monotonic()
        try:
            run = self._run([entry.item for entry in entries])
            _check(run, len(entries))
        except Exception as fault:  # noqa: BLE001 - whatever it is, the thread goes on
            return Outcome(entries, started, fault)
        return Outcome(entries, started, run)


def _check(run: Ran[Output], items: int) -> None:
    if len(run.outputs) != items:
        raise RuntimeError(f"the engine gave {len(run.outputs)} outputs for {items} items")
