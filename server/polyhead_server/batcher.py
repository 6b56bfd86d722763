"""The batcher: callers wait here while the engine is busy, and leave together in batches.

There is no timer. An idle engine starts at once on what is there; while it runs, entries gather,
and when it is done the next batch is cut from them. The engine's threads cut their batches
themselves, so that a busy event loop does not let it stand idle. All else in here belongs to the
event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import TYPE_CHECKING, Any, Generic, Protocol

from polyhead_server.cost import RunCost
from polyhead_server.errors import (
    DeadlineExceededError,
    DrainingError,
    HopelessError,
    QueueFullError,
)
from polyhead_server.forecast import Bounds, Forecast, bounded_retry
from polyhead_server.policy import FairLanes
from polyhead_server.replies import answer_all, count_run, fail, fail_all
from polyhead_server.schedule import Answer, Call, Item, Output, Priority
from polyhead_server.waiting import Waiting
from polyhead_server.worker import EngineThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyhead_server.schedule import Entry
    from polyhead_server.worker import Encode, Outcome, Ran

_JOIN_SECONDS = 5.0
_ANSWERS_AT_ONCE = 4
"""Entries answered in one turn of the event loop, which has calls to read and to refuse, too."""


class Observer(Protocol):
    """Is told, on the event loop, what happens in the batcher."""

    def batch(self, run: Ran[Any], items: int) -> None:
        """A batch went through the engine."""

    def failed(self) -> None:
        """The engine failed on a batch."""

    def shed(self, reason: str) -> None:
        """A call was refused: `queue_full`, `deadline` or `draining`."""

    def cancelled(self) -> None:
        """A caller went away before its answer was there."""

    def expired(self) -> None:
        """A call's deadline passed before its answer was there."""


class Batcher(Generic[Item, Output]):
    """Gathers items of many callers into batches for one blocking engine.

    An async context manager; or call `start` and `close`.

    Args:
        encode: has the engine run a batch, and gives what makes outputs of that; called by as many
            threads at a time as there are engines. Both may raise: their batch fails, nothing else.
        observer: is told what happens.
        bounds: how much is taken.
        cost: what is known of the engine beforehand.
        engines: batches that may run at the same time.
        beside: make the outputs of a batch while the next one runs.
        computing: the engine computes in the threads that call it.
        typical: asked after a batch whether it tells what batches cost.
    """

    def __init__(
        self,
        encode: Encode[Item, Output],
        *,
        observer: Observer,
        bounds: Bounds | None = None,
        cost: RunCost | None = None,
        engines: int = 1,
        beside: bool = False,
        computing: bool = True,
        typical: Callable[[], bool] = lambda: True,
    ) -> None:
        self._bounds = bounds or Bounds()
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._cost = cost or RunCost()
        self._waiting = self._queue(engines)
        self._forecast = Forecast(self._waiting, self._cost, self._bounds)
        self._beside = beside
        self._typical = typical
        self._threads = EngineThreads(
            encode,
            self._waiting,
            cut=self._after_cut,
            done=self._after_run,
            threads=engines + beside,
            computing=computing,
        )
        self._patient: dict[Priority, dict[Call[Output], Sequence[Item]]] = {
            priority: {} for priority in Priority
        }
        self._calls: set[Call[Output]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = self._closed = False

    @property
    def waiting_items(self) -> int:
        """Living items that wait for the engine."""
        return self._waiting.items

    @property
    def waiting_tokens(self) -> int:
        """Tokens of the living items that wait for the engine."""
        return self._waiting.tokens

    def lane_tokens(self, priority: Priority) -> int:
        """Tokens of the living items that wait in a lane."""
        return self._waiting.lane(priority).tokens

    def wait_seconds(self) -> float:
        """Expected wait of an interactive call that comes now."""
        return self._forecast.wait_seconds()

    async def __aenter__(self) -> Batcher[Item, Output]:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Start the engine's threads."""
        self._threads.start()

    async def submit(
        self,
        items: Sequence[Item],
        *,
        deadline: float = math.inf,
        priority: Priority = Priority.INTERACTIVE,
        patient: bool = False,
    ) -> Answer[Output]:
        """Have items run, and wait for all of their outputs.

        Args:
            items: the work, at least one item.
            deadline: event loop time after which the answer is of no use.
            priority: the lane to wait in.
            patient: wait for room instead of being refused, and leave room to those who do not.

        Raises:
            QueueFullError: there is no room, and the caller is not patient.
            HopelessError: so much waits that it would be too late, and the caller is not patient.
            DeadlineExceededError: the deadline passed.
            DrainingError: the batcher takes no more work.
            InternalError: the engine failed on these items; the cause is chained.
        """
        self._refuse_late(deadline)
        call = self._call(items, deadline, priority)
        self._admit(call, items, patient=patient)
        timer = None if math.isinf(deadline) else self._loop.call_at(deadline, self._expire, call)
        try:
            answer = await call.reply
        except asyncio.CancelledError:
            self._observer.cancelled()
            raise
        else:
            self._forecast.learn_call(call, time.monotonic() - call.entered)
            return answer
        finally:
            if timer is not None:
                timer.cancel()
            self._leave(call)
            # What the call was failed with knows this frame: without this it would hold the caller,
            # and its place among a connection's streams, until Python looks for garbage.
            del call

    def ensure_room(
        self, deadline: float = math.inf, priority: Priority = Priority.INTERACTIVE
    ) -> None:
        """Refuse a call before any work is done for it, where not even one token would do.

        Raises:
            QueueFullError: there is no room.
            HopelessError: so much waits that it would be too late.
        """
        self._refuse_unfit(1, priority, self._monotonic(deadline))

    async def drain(self, limit: float) -> bool:
        """Take no more work, and finish what was admitted.

        Args:
            limit: seconds to wait.

        Returns:
            Whether everything was finished in time.
        """
        self._draining = True
        for call in [call for line in self._patient.values() for call in line]:
            fail(call, DrainingError())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), limit)
        return self._idle.is_set()

    async def close(self) -> bool:
        """Refuse what still waits, and end the engine's threads once their runs are over.

        Returns:
            Whether they have ended; one whose run does not end is left behind.
        """
        self._draining = True
        patience = 0.0 if self._closed else _JOIN_SECONDS
        self._closed = True
        self._waiting.close()
        for call in tuple(self._calls):
            fail(call, DrainingError())
        return await asyncio.to_thread(self._threads.join, patience)

    def _refuse_late(self, deadline: float) -> None:
        if self._draining:
            self._observer.shed("draining")
            raise DrainingError
        if deadline <= self._loop.time():
            self._observer.expired()
            raise DeadlineExceededError("the deadline passed before the work began")

    def _queue(self, engines: int) -> Waiting[Item, Output]:
        bounds = self._bounds
        lanes = FairLanes[Item, Output](
            bounds.bulk_share,
            bounds.age_limit,
            lambda tokens: self._cost.price(tokens, bounds.batch_tokens),
        )
        return Waiting(lanes, self._budget, engines)

    def _budget(self) -> tuple[int, float]:
        return self._forecast.batch()

    def _call(self, items: Sequence[Item], deadline: float, priority: Priority) -> Call[Output]:
        return Call(
            reply=self._loop.create_future(),
            entered=time.monotonic(),
            outputs=[None] * len(items),
            missing=len(items),
            tokens=sum(item.tokens for item in items),
            priority=priority,
            deadline=self._monotonic(deadline),
        )

    def _monotonic(self, deadline: float) -> float:
        """The clock of the engine's threads, which need not be that of the event loop."""
        return deadline - self._loop.time() + time.monotonic()

    def _admit(self, call: Call[Output], items: Sequence[Item], *, patient: bool) -> None:
        line = self._patient[call.priority]
        if patient and (line or not self._has_bulk_room(call)):
            line[call] = items
        else:
            deadline = math.inf if patient else call.deadline
            call.expected = self._refuse_unfit(call.tokens, call.priority, deadline)
            self._waiting.add(call, items)
        self._calls.add(call)
        self._idle.clear()

    def _refuse_unfit(self, tokens: int, priority: Priority, deadline: float) -> float:
        """Raise where a call has no room or no hope; else give what it is expected to take."""
        if not self._has_room(tokens, priority):
            self._observer.shed("queue_full")
            raise QueueFullError(self._forecast.retry_seconds(tokens, priority))
        seconds, late = self._forecast.expect(tokens, priority, deadline)
        if late > 0:
            self._observer.shed("deadline")
            raise HopelessError(bounded_retry(late))
        return seconds

    def _has_room(self, tokens: int, priority: Priority) -> bool:
        waiting = self._waiting.lane(priority).tokens
        return waiting == 0 or waiting + tokens <= self._bounds.queue_tokens

    def _has_bulk_room(self, call: Call[Output]) -> bool:
        waiting = self._waiting.lane(call.priority).tokens
        room = waiting <= self._bounds.bulk_tokens
        return room and self._has_room(call.tokens, call.priority)

    def _let_patient_in(self) -> None:
        for line in self._patient.values():
            self._let_line_in(line)

    def _let_line_in(self, line: dict[Call[Output], Sequence[Item]]) -> None:
        while line:
            call = next(iter(line))
            if not self._has_bulk_room(call):
                return
            items = line.pop(call)
            if not call.reply.done():
                self._waiting.add(call, items)

    def _expire(self, call: Call[Output]) -> None:
        if not call.reply.done():
            self._observer.expired()
            self._forecast.learn_call(call, time.monotonic() - call.entered)
            fail(call, DeadlineExceededError())

    def _leave(self, call: Call[Output]) -> None:
        """Forget a call that was answered or given up, and make room of what still waits of it."""
        self._patient[call.priority].pop(call, None)
        if call.waiting_tokens:
            self._waiting.release(call)
        self._let_patient_in()
        self._calls.discard(call)
        if not self._calls:
            self._idle.set()

    def _after_cut(self) -> None:
        if any(self._patient.values()):
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
                count_run(outcome.entries, outcome.result, outcome.started)
                self._answer(outcome.entries, outcome.result.outputs, 0)
        for outcome in outcomes:
            self._learn(outcome)

    def _answer(
        self, entries: Sequence[Entry[Item, Output]], outputs: Sequence[Output], at: int
    ) -> None:
        """Answer some of a batch, and the others after whatever has come meanwhile."""
        end = at + _ANSWERS_AT_ONCE
        answer_all(entries[at:end], outputs[at:end])
        if end < len(entries):
            self._loop.call_soon(self._answer, entries, outputs, end)

    def _learn(self, outcome: Outcome[Item, Output]) -> None:
        if isinstance(outcome.result, Exception):
            self._observer.failed()
            return
        run = outcome.result
        if self._typical():
            seconds = run.encode_seconds if self._beside else run.encode_seconds + run.heads_seconds
            self._cost.learn(run.tokens + run.wasted_tokens, seconds)
            self._forecast.learn_batch(run.tokens)
        self._observer.batch(run, len(outcome.entries))
