"""The engine's threads: each cuts a batch, runs it, and hands what became of it to the event loop.

As many of them as there are engines have one at a time. What comes after the engine, the heads, is
done by the thread that ran the batch, while another one cuts the next batch and runs it. So nothing
is handed over, and a thread is woken only where something waits: one call on an idle server meets
one thread. Where it is they who compute, they give way to the event loop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog

from polyhead_server.niceness import give_way
from polyhead_server.schedule import Item, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.schedule import Call, Entry
    from polyhead_server.waiting import Waiting

_log = structlog.get_logger(__name__)

_NAME = "polyhead-engine-"

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


Finish = Callable[[], Ran[Output]]
"""Makes outputs of what the engine gave; needs the engine no more."""
Encode = Callable[[list[Item]], Finish[Output]]
"""Has the engine run a batch."""


class EngineThreads(Generic[Item, Output]):
    """Run batches until the queue is closed. No exception of a run ends them.

    Args:
        encode: has an engine run a batch; called by as many threads at a time as there are engines.
        waiting: where the batches come from, and who has the engine.
        cut: called when a batch has left the queue, before it runs.
        done: called with what became of a batch.
        threads: how many there are.
        computing: the engine computes in these threads, which give way then.
    """

    def __init__(
        self,
        encode: Encode[Item, Output],
        waiting: Waiting[Item, Output],
        *,
        cut: Callable[[], None],
        done: Callable[[list[Outcome[Item, Output]]], None],
        threads: int,
        computing: bool = True,
    ) -> None:
        self._encode = encode
        self._waiting = waiting
        self._cut = cut
        self._done = done
        self._computing = computing
        self._threads = [
            threading.Thread(target=self._work, name=f"{_NAME}{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def join(self, limit: float) -> bool:
        """Wait until the threads have ended, `limit` seconds at most; whether they have."""
        end = time.monotonic() + limit
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        if self._computing:
            give_way()
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
        return [self._try_alone(group) for group in groups.values() if not group[0].dead]

    def _try_alone(self, entries: list[Entry[Item, Output]]) -> Outcome[Item, Output]:
        self._waiting.claim()
        return self._try(entries)

    def _try(self, entries: list[Entry[Item, Output]]) -> Outcome[Item, Output]:
        """Run entries on the engine that this thread has, and give it back."""
        started = time.monotonic()
        try:
            try:
                finish = self._encode([entry.item for entry in entries])
            finally:
                self._waiting.free()
            run = finish()
            _check(run, len(entries))
        except BaseException as fault:  # noqa: BLE001 - whatever it is, the thread goes on
            return Outcome(entries, started, _as_exception(fault))
        return Outcome(entries, started, run)


def left_behind() -> bool:
    """Whether a thread is still in an engine, as one is whose run never ends."""
    return any(thread.name.startswith(_NAME) for thread in threading.enumerate())


def _as_exception(fault: BaseException) -> Exception:
    """Panics of libraries in Rust and orders to exit end no thread of ours."""
    if isinstance(fault, Exception):
        return fault
    wrapped = RuntimeError("the engine raised what is no Exception")
    wrapped.__cause__ = fault
    return wrapped


def _check(run: Ran[Output], items: int) -> None:
    if len(run.outputs) != items:
        raise RuntimeError(f"the engine gave {len(run.outputs)} outputs for {items} items")
