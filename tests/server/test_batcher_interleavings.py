"""Whatever callers, engine and drain do to each other, each call has one answer: its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from gated_engine import PATIENCE, Diary, GatedEngine, Word, batcher
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyhead_server.errors import (
    DeadlineExceededError,
    DrainingError,
    InternalError,
    QueueFullError,
)
from polyhead_server.schedule import Priority


@dataclass(frozen=True)
class Submit:
    """A call with items of these costs; one of them may be poison."""

    costs: tuple[int, ...]
    poison: bool
    seconds: float | None
    patient: bool
    priority: Priority


@dataclass(frozen=True)
class Cancel:
    """The caller of this call, counted from the latest, goes away."""

    back: int


@dataclass(frozen=True)
class Pass:
    """The engine is let through one run."""


@dataclass(frozen=True)
class Breathe:
    """The event loop comes round."""

    times: int


@dataclass(frozen=True)
class Drain:
    """The batcher takes no more."""


STEPS = st.one_of(
    st.builds(
        Submit,
        costs=st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple),
        poison=st.sampled_from([False, False, False, True]),
        seconds=st.sampled_from([None, None, None, 0.0, 0.0005]),
        patient=st.booleans(),
        priority=st.sampled_from(Priority),
    ),
    st.builds(Cancel, back=st.integers(1, 5)),
    st.just(Pass()),
    st.builds(Breathe, times=st.integers(1, 4)),
)


@dataclass
class Play:
    """One random interleaving, and what is known of each call."""

    engine: GatedEngine
    diary: Diary = field(default_factory=Diary)
    calls: list[tuple[Submit, list[Word], asyncio.Task]] = field(default_factory=list)
    cancelled: set[int] = field(default_factory=set)
    drain: asyncio.Task | None = None
    before_drain: int = 0

    async def step(self, b, step):
        match step:
            case Submit():
                self.submit(b, step)
            case Cancel(back) if back <= len(self.calls):
                number = len(self.calls) - back
                self.calls[number][2].cancel()
                self.cancelled.add(number)
            case Pass():
                self.engine.let_one_run()
            case Breathe(times):
                for _ in range(times):
                    await asyncio.sleep(0)
            case Drain() if self.drain is None:
                self.drain = asyncio.create_task(b.drain(PATIENCE))
                self.before_drain = len(self.calls)
                await asyncio.sleep(0)

    def submit(self, b, step):
        number = len(self.calls)
        items = [
            Word(f"call{number}item{i}", cost, poison=step.poison and i == 0)
            for i, cost in enumerate(step.costs)
        ]
        now = asyncio.get_running_loop().time()
        limits = {} if step.seconds is None else {"deadline": now + step.seconds}
        work = b.submit(items, patient=step.patient, priority=step.priority, **limits)
        self.calls.append((step, items, asyncio.create_task(work)))

    async def finish(self, b):
        self.engine.open()
        for _ in range(200):
            self.engine.let_one_run()
        async with asyncio.timeout(PATIENCE):
            tasks = [task for _, _, task in self.calls]
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert await (self.drain or b.drain(PATIENCE)) is True
        assert b.waiting_tokens == 0
        return outcomes

    def check(self, outcomes):
        for number, ((step, items, _), outcome) in enumerate(
            zip(self.calls, outcomes, strict=True)
        ):
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, self.excuses(number, step)), outcome
            else:
                assert not step.poison
                assert outcome.outputs == [item.text.upper() for item in items]

    def excuses(self, number, step):
        """The errors that this call may be answered with."""
        admitted = number < self.before_drain and not step.patient
        errors: list[type[BaseException]] = [DrainingError] if self.drain and not admitted else []
        errors += [asyncio.CancelledError] if number in self.cancelled else []
        errors += [InternalError] if step.poison else []
        errors += [DeadlineExceededError] if step.seconds is not None else []
        errors += [QueueFullError] if not step.patient else []  # HopelessError is one
        return tuple(errors)


async def play(steps, *, beside):
    engine = GatedEngine(shut=True)
    play = Play(engine)
    bounds = {"batch_tokens": 8, "queue_tokens": 30, "bulk_tokens": 8, "age_limit": 0.0003}
    async with batcher(engine, play.diary, beside=beside, **bounds) as b:
        for step in steps:
            await play.step(b, step)
        play.check(await play.finish(b))
    return play


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=40), st.sampled_from([None, 0.5, 0.9]), st.booleans())
def test_no_answer_is_lost_or_mixed_up(steps, drain_at, beside):
    """Each call is answered exactly once, with its own outputs or an error that it has earned."""
    if drain_at is not None:
        steps.insert(int(len(steps) * drain_at), Drain())
    done = asyncio.run(play(steps, beside=beside))
    assert done.engine.most_at_once <= 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=40), st.booleans())
def test_nothing_runs_twice_without_a_failure(steps, beside):
    """Where nothing is poison no item reaches the engine twice."""
    sound = [step for step in steps if not (isinstance(step, Submit) and step.poison)]
    done = asyncio.run(play(sound, beside=beside))
    seen = Counter(text for batch in done.engine.batches for text in batch)
    assert all(count == 1 for count in seen.values())
    assert done.diary.failures == 0
