"""The batcher: callers wait here while the engine is busy, and leave together in batches.

There is no timer. An idle engine starts at once on what is there; while it runs, entries gather,
and when it is done the next batch is cut from them. The engine's thread cuts its next batch itself,
so that a busy event loop does not let it stand idle. All else in here belongs to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol

from polyhead_server.errors import (
    DeadlineExceededError,
    DrainingError,
    QueueFullError,
)
from polyhead_server.replies import answer_all, fail, fail_all
from polyhead_server.schedule import Answer, Call, FirstFit, Item, Output
from polyhead_server.throughput import Throughput
from polyhead_server.waiting import Waiting
from polyhead_server.worker import EngineThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyhead_server.schedule import Policy
    from polyhead_server.worker import Outcome, Ran

_LEAST_RETRY_SECONDS = 0.01
_MOST_RETRY_SECONDS = 30.0
_JOIN_SECONDS = 5.0


class Observer(Protocol):
    """Is told, on the event loop, what happens in the batcher."""

    def batch(self, run: Ran[Any], items: int) -> None:
        """A batch went through the engine."""

    def failed(self) -> None:
        """The engine failed on a batch."""

    def shed(self, reason: str) -> None:
        """A call was refused: `queue_full` or `draining`."""

    def cancelled(self) -> None:
        """A caller went away before its answer was there."""

    def expired(self) -> None:
        """A call's deadline passed before its answer was there."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the batcher takes."""

    batch_tokens: int = 256
    """Tokens in one batch; a larger item runs alone."""
    queue_tokens: int = 65_536
    """Tokens that may wait; a call beyond that is refused, unless nothing waits."""
    bulk_tokens: int = 2_048
    """Patient calls enter only while no more than this waits."""


class Batcher(Generic[Item, Output]):
    """Gathers items of many callers into batches for one blocking engine.

    An async context manager; or call `start` and `close`.

    Args:
        run: runs a batch; called by one thread only. May raise: its batch fails, nothing else.
        observer: is told what happens.
        bounds: how much is taken.
        policy: picks the entries of the next batch.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Ran[Output]],
        *,
        observer: Observer,
        bounds: Bounds | None = None,
        policy: Policy | None = None,
    ) -> None:
        self._bounds = bounds or Bounds()
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._throughput = Throughput()
        self._waiting = Waiting[Item, Output](policy or FirstFit(), self._bounds.batch_tokens)
        self._thread = EngineThread(run, self._waiting, cut=self._after_cut, done=self._after_run)
        self._patient: dict[Call[Output], Sequence[Item]] = {}
        self._calls: set[Call[Output]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    @property
    def waiting_items(self) -> int:
        """Items that wait for the engine, some perhaps dead."""
        return self._waiting.items

    @property
    def waiting_tokens(self) -> int:
        """Tokens of the living items that wait for the engine."""
        return self._waiting.tokens

    async def __aenter__(self) -> Batcher[Item, Output]:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Start the engine's thread."""
        self._thread.start()

    async def submit(
        self, items: Sequence[Item], *, deadline: float = math.inf, patient: bool = False
    ) -> Answer[Output]:
        """Have items run, and wait for all of their outputs.

        Args:
            items: the work, at least one item.
            deadline: event loop time after which the answer is of no use.
            patient: wait for room instead of being refused, and leave room to those who do not.

        Raises:
            QueueFullError: there is no room, and the caller is not patient.
            DeadlineExceededError: the deadline passed.
            DrainingError: the batcher takes no more work.
            InternalError: the engine failed on these items; the cause is chained.
        """
        self._refuse_late(deadline)
        call = self._call(items)
        self._admit(call, items, patient=patient)
        timer = None if math.isinf(deadline) else self._loop.call_at(deadline, self._expire, call)
        try:
            return await call.reply
        except asyncio.CancelledError:
            self._observer.cancelled()
            raise
        finally:
            if timer is not None:
                timer.cancel()
            self._leave(call)

    def ensure_room(self) -> None:
        """Refuse a call before any work is done for it, where not even one token would enter.

        Raises:
            QueueFullError: there is no room.
        """
        if not self._has_room(1):
            self._refuse(1)

    async def drain(self, limit: float) -> bool:
        """Take no more work, and finish what was admitted.

        Args:
            limit: seconds to wait.

        Returns:
            Whether everything was finished in time.
        """
        self._draining = True
        for call in tuple(self._patient):
            fail(call, _draining())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), limit)
        return self._idle.is_set()

    async def close(self) -> None:
        """Refuse what still waits, and end the engine's thread once its run is over."""
        self._draining = True
        self._waiting.close()
        for call in tuple(self._calls):
            fail(call, _draining())
        await asyncio.to_thread(self._thread.join, _JOIN_SECONDS)

    def _refuse_late(self, deadline: float) -> None:
        if self._draining:
            self._observer.shed("draining")
            raise _draining()
        if deadline <= self._loop.time():
            self._observer.expired()
            raise DeadlineExceededError("the deadline passed before the work began")

    def _call(self, items: Sequence[Item]) -> Call[Output]:
        return Call(
            reply=self._loop.create_future(),
            entered=time.monotonic(),
            outputs=[None] * len(items),
            missing=len(items),
            tokens=sum(item.tokens for item in items),
        )

    def _admit(self, call: Call[Output], items: Sequence[Item], *, patient: bool) -> None:
        if patient and (self._patient or not self._has_bulk_room(call.tokens)):
            self._patient[call] = items
        elif self._has_room(call.tokens):
            self._waiting.add(call, items)
        else:
            self._refuse(call.tokens)
        self._calls.add(call)
        self._idle.clear()

    def _refuse(self, tokens: int) -> NoReturn:
        self._observer.shed("queue_full")
        raise QueueFullError(self._retry_after(tokens))

    def _has_room(self, tokens: int) -> bool:
        waiting = self._waiting.tokens
        return waiting == 0 or waiting + tokens <= self._bounds.queue_tokens

    def _has_bulk_room(self, tokens: int) -> bool:
        return self._waiting.tokens <= self._bounds.bulk_tokens and self._has_room(tokens)

    def _retry_after(self, tokens: int) -> float:
        """Seconds until the queue should be half empty, these tokens included."""
        excess = self._waiting.tokens + tokens - self._bounds.queue_tokens / 2
        seconds = excess / self._throughput.tokens_per_second
        return min(max(seconds, _LEAST_RETRY_SECONDS), _MOST_RETRY_SECONDS)

    def _let_patient_in(self) -> None:
        while self._patient:
            call = next(iter(self._patient))
            if not self._has_bulk_room(call.tokens):
                return
            items = self._patient.pop(call)
            if not call.reply.done():
                self._waiting.add(call, items)

    def _expire(self, call: Call[Output]) -> None:
        if not call.reply.done():
            self._observer.expired()
            fail(call, DeadlineExceededError("the deadline passed"))

    def _leave(self, call: Call[Output]) -> None:
        """Forget a call that was answered or given up, and make room of what still waits of it."""
        self._patient.pop(call, None)
        if call.waiting_tokens:
            self._waiting.release(call)
        self._let_patient_in()
        self._calls.discard(call)
        if not self._calls:
            self._idle.set()

    def _after_cut(self) -> None:
        if self._patient:
            self._tell_loop(self._let_patient_in)

    def _after_run(self, outcomes: list[Outcome[Item, Output]]) -> None:
        self._tell_loop(self._deliver, outcomes)

    def _tell_loop(self, callback: Callable[..., None], *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(callback, *args)

    def _deliver(self, outcomes: list[Outcome[Item, Output]]) -> None:
        for outcome in outcomes:
            if isinstance(outcome.result, Exception):
                fail_all(outcome.entries, outcome.result)
            else:
                answer_all(outcome.entries, outcome.result, outcome.started)
        for outcome in outcomes:
            self._learn(outcome)

    def _learn(self, outcome: Outcome[Item, Output]) -> None:
        if isinstance(outcome.result, Exception):
            self._observer.failed()
            return
        run = outcome.result
        self._throughput.learn(run.tokens, run.encode_seconds + run.heads_seconds)
        self._observer.batch(run, len(outcome.entries))


def _draining() -> DrainingError:
    return DrainingError("the server is shutting down")
