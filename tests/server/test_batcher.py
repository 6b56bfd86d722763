"""The batcher keeps its promises: nobody is lost, nobody harms another, nobody waits in vain."""

from __future__ import annotations

import asyncio
import time

import pytest
from gated_engine import (
    PATIENCE,
    Diary,
    GatedEngine,
    Word,
    batcher,
    begun,
    busy,
    soon,
    start,
    words,
)

from polyhead_server.errors import (
    DeadlineExceededError,
    DrainingError,
    InternalError,
    QueueFullError,
)


async def test_idle_engine_starts_at_once_and_answers_in_order():
    """A call on an idle engine is one batch at once, its outputs in the order of its items."""
    engine = GatedEngine()
    async with batcher(engine) as b:
        answer = await soon(b.submit(words("a b c")))
    assert answer.outputs == ["A", "B", "C"]
    assert engine.batches == [["a", "b", "c"]]
    assert answer.encode_seconds == 0.002
    assert answer.heads_seconds == 0.001
    assert answer.queue_seconds >= 0


async def test_busy_engine_is_the_window():
    """What arrives while the engine runs leaves together in the next batch."""
    engine = GatedEngine(shut=True)
    async with batcher(engine) as b:
        tasks = [await busy(engine, b), await start(b, "a"), await start(b, "b c")]
        engine.open()
        answers = await soon(asyncio.gather(*tasks))
    assert engine.batches == [["busy"], ["a", "b", "c"]]
    assert [answer.outputs for answer in answers] == [["BUSY"], ["A"], ["B", "C"]]


async def test_batches_keep_to_the_token_budget():
    """A batch holds no more than its budget; a larger item runs alone."""
    engine = GatedEngine(shut=True)
    async with batcher(engine, batch_tokens=10) as b:
        tasks = [await busy(engine, b), await start(b, "a b c", 4), await start(b, "huge", 50)]
        engine.open()
        await soon(asyncio.gather(*tasks))
    assert engine.batches == [["busy"], ["a", "b"], ["c"], ["huge"]]


async def test_idle_engines_share_out_what_waits():
    """A call that meets several idle engines is cut into a batch for each, run at the same time."""
    engine = GatedEngine(shut=True)
    async with batcher(engine, engines=2) as b:
        task = await start(b, "a b c d e")
        batches = [await engine.entered(), await engine.entered()]
        assert engine.most_at_once == 2
        engine.open()
        engine.open()
        answer = await soon(task)
    assert batches == [["a", "b", "c"], ["d", "e"]]
    assert answer.outputs == ["A", "B", "C", "D", "E"]


async def test_a_busy_engines_work_is_left_whole():
    """Where the other engine is busy, the idle one takes all that waits, up to its budget."""
    engine = GatedEngine(shut=True)
    async with batcher(engine, engines=2) as b:
        tasks = [await busy(engine, b), await start(b, "a b c")]
        assert await engine.entered() == ["a", "b", "c"]
        engine.open()
        engine.open()
        await soon(asyncio.gather(*tasks))


async def test_small_entries_pass_one_that_does_not_fit():
    """A batch is filled up by later entries, and the one passed over comes next."""
    engine = GatedEngine(shut=True)
    async with batcher(engine, batch_tokens=10) as b:
        tasks = [await busy(engine, b)]
        tasks += [await start(b, text, tokens) for text, tokens in [("a", 6), ("b", 6), ("c", 4)]]
        engine.open()
        await soon(asyncio.gather(*tasks))
    assert engine.batches == [["busy"], ["a", "c"], ["b"]]


async def test_answers_leave_the_event_loop_time_for_others():
    """Of a batch a few calls are answered in each turn of the event loop, and all in the end."""
    engine, answered = GatedEngine(shut=True), []
    turn = 0

    def count():
        nonlocal turn
        turn += 1
        if len(answered) < 10:
            asyncio.get_running_loop().call_soon(count)

    async def call(b, number):
        answer = await b.submit(words(f"w{number}"))
        answered.append((turn, answer.outputs))

    async with batcher(engine) as b, asyncio.TaskGroup() as group:
        first = await busy(engine, b)
        for number in range(10):
            await begun(group.create_task(call(b, number)))
        count()
        engine.open()
        await soon(first)
    assert [outputs for _, outputs in answered] == [[f"W{number}"] for number in range(10)]
    turns = [turn for turn, _ in answered]
    assert max(turns.count(turn) for turn in turns) == 4


async def test_a_call_over_several_batches_adds_its_runs_up():
    """A call cut into several batches is answered once, with the time of all its runs."""
    engine = GatedEngine()
    async with batcher(engine, batch_tokens=2) as b:
        answer = await soon(b.submit(words("a b c d e")))
    assert answer.outputs == ["A", "B", "C", "D", "E"]
    assert answer.encode_seconds == pytest.approx(3 * 0.002)
    assert answer.heads_seconds == pytest.approx(3 * 0.001)


async def test_a_run_counts_once_for_a_call():
    """Also where two runs have ended before the event loop could answer either."""
    engine = GatedEngine(shut=True)
    async with batcher(engine, batch_tokens=12, engines=2) as b:
        answer = asyncio.create_task(b.submit(words(" ".join("abcdefghijklmnopqrstuvwx"))))
        await engine.entered()
        await engine.entered()
        engine.let_one_run()
        engine.let_one_run()
        time.sleep(0.2)  # noqa: ASYNC251 - the event loop is busy
        answer = await soon(answer)
    assert answer.encode_seconds == pytest.approx(2 * 0.002)
    assert answer.heads_seconds == pytest.approx(2 * 0.001)


async def test_cancelled_caller_leaves_its_neighbours_answered():
    """A caller that goes away while its batch runs takes nobody with it."""
    engine, diary = GatedEngine(shut=True), Diary()
    async with batcher(engine, diary) as b:
        first = await busy(engine, b)
        gone, stays = await start(b, "gone"), await start(b, "stays")
        engine.let_one_run()
        assert await engine.entered() == ["gone", "stays"]
        gone.cancel()
        await asyncio.wait([gone])
        engine.open()
        assert (await soon(stays)).outputs == ["STAYS"]
        assert (await soon(first)).outputs == ["BUSY"]
    assert gone.cancelled()
    assert diary.gone == 1


async def test_cancelled_entries_never_reach_the_engine():
    """A caller that goes away while it waits is dropped, and its room is free at once."""
    engine, diary = GatedEngine(shut=True), Diary()
    async with batcher(engine, diary) as b:
        first = await busy(engine, b)
        gone, stays = await start(b, "gone gone"), await start(b, "stays")
        gone.cancel()
        await asyncio.wait([gone])
        assert b.waiting_tokens == 1
        engine.open()
        await soon(asyncio.gather(first, stays))
    assert engine.batches == [["busy"], ["stays"]]
    assert diary.gone == 1


async def test_cancelled_entries_do_not_pile_up():
    """Callers that come and go while the engine is stuck leave nothing behind."""
    engine = GatedEngine(shut=True)
    async with batcher(engine, batch_tokens=4) as b:
        first = await busy(engine, b)
        for _ in range(100):
            task = await start(b, "gone")
            task.cancel()
            await asyncio.wait([task])
        assert b.waiting_tokens == 0
        assert b.waiting_items <= 9
        engine.open()
        await soon(first)


async def test_late_call_is_told_at_once_while_the_engine_is_busy():
    """A deadline that passes in the queue fails the call promptly; the engine never sees it."""
    engine, diary = GatedEngine(shut=True), Diary()
    async with batcher(engine, diary) as b:
        first = await busy(engine, b)
        late = b.submit(words("late"), deadline=asyncio.get_running_loop().time() + 0.01)
        with pytest.raises(DeadlineExceededError):
            await soon(late)
        assert not first.done()
        assert b.waiting_tokens == 0
        engine.open()
        await soon(first)
        await soon(b.submit(words("next")))
    assert engine.batches == [["busy"], ["next"]]
    assert diary.late == 1


async def test_deadline_already_passed():
    """A call that comes too late is refused without entering the queue."""
    engine, diary = GatedEngine(), Diary()
    async with batcher(engine, diary) as b:
        with pytest.raises(DeadlineExceededError):
            await b.submit(words("late"), deadline=asyncio.get_running_loop().time() - 1)
    assert engine.batches == []
    assert diary.late == 1


async def test_deadline_during_the_run_does_not_wait_for_it():
    """A deadline that passes while the call runs is told before the run ends."""
    engine = GatedEngine(shut=True)
    async with batcher(engine) as b:
        deadline = asyncio.get_running_loop().time() + 0.01
        with pytest.raises(DeadlineExceededError):
            await soon(b.submit(words("late"), deadline=deadline))
        engine.open()
        assert (await soon(b.submit(words("next")))).outputs == ["NEXT"]


async def test_failing_batch_fails_only_its_own_and_the_next_works():
    """When the engine fails its callers are told, and it is used again."""
    engine, diary = GatedEngine(), Diary()
    async with batcher(engine, diary) as b:
        engine.broken = True
        with pytest.raises(InternalError) as caught:
            await soon(b.submit(words("a")))
        engine.broken = False
        assert (await soon(b.submit(words("b")))).outputs == ["B"]
    assert isinstance(caught.value.__cause__, ValueError)
    assert "broken" not in str(caught.value)
    assert diary.failures == 1


async def test_poison_fails_only_its_own_call():
    """One bad item in a shared batch fails its call; the neighbours are run again and answered."""
    engine = GatedEngine(shut=True)
    async with batcher(engine) as b:
        first, good = await busy(engine, b), await start(b, "good")
        bad = asyncio.create_task(b.submit([Word("fine"), Word("bad", poison=True)]))
        await begun(bad)
        other = await start(b, "other")
        engine.open()
        for task, expected in [(first, ["BUSY"]), (good, ["GOOD"]), (other, ["OTHER"])]:
            assert (await soon(task)).outputs == expected
        with pytest.raises(InternalError):
            await soon(bad)
    assert engine.batches[2:] == [["good"], ["fine", "bad"], ["other"]]


async def test_wrong_number_of_outputs_is_a_failure():
    """An engine that loses an output fails the batch instead of mixing answers up."""
    engine = GatedEngine()
    run = engine.run
    engine.run = lambda items: run(items[:1]) if len(items) == 2 else run(items)
    async with batcher(engine) as b:
        with pytest.raises(InternalError):
            await soon(b.submit(words("a b")))
        assert (await soon(b.submit(words("c")))).outputs == ["C"]


async def test_full_queue_answers_at_once():
    """Where there is no room a call is refused immediately, and told when to come again."""
    engine, diary = GatedEngine(shut=True), Diary()
    async with batcher(engine, diary, queue_tokens=10) as b:
        tasks = [await busy(engine, b), await start(b, "a b", 4)]
        with pytest.raises(QueueFullError) as caught:
            await b.submit(words("c", 3))
        tasks.append(await start(b, "d", 2))
        engine.open()
        await soon(asyncio.gather(*tasks))
        await soon(b.submit(words("c", 3)))
    assert 0 < caught.value.retry_after <= 30
    assert diary.refused == ["queue_full"]


async def test_retry_after_follows_the_learned_speed():
    """A slow engine makes callers come back later than a fast one."""
    hints = []
    for tokens in (10, 1000):
        engine = GatedEngine(shut=True)
        async with batcher(engine, queue_tokens=tokens * 40, batch_tokens=tokens) as b:
            for _ in range(20):
                engine.let_one_run()
                await soon(b.submit(words("a", tokens=10)))
                await engine.entered()
            tasks = [await busy(engine, b), await start(b, "wait", tokens * 40)]
            with pytest.raises(QueueFullError) as caught:
                await b.submit(words("c"))
            hints.append(caught.value.retry_after)
            engine.open()
            await soon(asyncio.gather(*tasks))
    assert hints[1] > 10 * hints[0]


async def test_idle_queue_admits_what_is_larger_than_itself():
    """A valid call is never refused for its size alone."""
    engine = GatedEngine()
    async with batcher(engine, queue_tokens=10) as b:
        answer = await soon(b.submit(words("a b c d", 100)))
    assert answer.outputs == ["A", "B", "C", "D"]


async def test_patient_call_waits_for_room_and_lets_others_pass():
    """Bulk work waits outside while the queue holds enough; a single call enters before it."""
    engine = GatedEngine(shut=True)
    async with batcher(engine, batch_tokens=10, bulk_tokens=5) as b:
        tasks = [await busy(engine, b), await start(b, "a", 9)]
        bulk = [await start(b, text, 9, patient=True) for text in ("bulk1", "bulk2")]
        assert b.waiting_tokens == 9
        tasks.append(await start(b, "single", 9))
        engine.open()
        await soon(asyncio.gather(*tasks, *bulk))
    assert engine.batches == [["busy"], ["a"], ["single"], ["bulk1"], ["bulk2"]]


async def test_patient_caller_that_leaves_holds_nobody_up():
    """A cancelled patient call leaves its place to the next one."""
    engine = GatedEngine(shut=True)
    async with batcher(engine, bulk_tokens=0) as b:
        tasks = [await busy(engine, b), await start(b, "a", 9)]
        gone, stays = [await start(b, text, patient=True) for text in ("gone", "stays")]
        gone.cancel()
        await asyncio.wait([gone])
        engine.open()
        await soon(asyncio.gather(*tasks, stays))
    assert engine.batches == [["busy"], ["a"], ["stays"]]


async def test_patient_call_keeps_its_deadline():
    """Waiting for room ends at the deadline."""
    engine = GatedEngine(shut=True)
    async with batcher(engine, bulk_tokens=0) as b:
        tasks = [await busy(engine, b), await start(b, "a")]
        deadline = asyncio.get_running_loop().time() + 0.01
        with pytest.raises(DeadlineExceededError):
            await soon(b.submit(words("late"), deadline=deadline, patient=True))
        engine.open()
        await soon(asyncio.gather(*tasks))
    assert ["late"] not in engine.batches


async def test_drain_finishes_what_was_admitted_and_refuses_the_rest():
    """A drain loses nothing that was admitted, and new callers are sent elsewhere."""
    engine, diary = GatedEngine(shut=True), Diary()
    async with batcher(engine, diary, batch_tokens=1) as b:
        tasks = [await busy(engine, b), await start(b, "a b c"), await start(b, "d")]
        draining = asyncio.create_task(b.drain(PATIENCE))
        await begun(draining)
        with pytest.raises(DrainingError):
            await b.submit(words("new"))
        engine.open()
        assert await soon(draining) is True
        answers = await soon(asyncio.gather(*tasks))
    assert [answer.outputs for answer in answers] == [["BUSY"], ["A", "B", "C"], ["D"]]
    assert diary.refused == ["draining"]


async def test_drain_keeps_to_its_limit_and_close_refuses_the_rest():
    """A drain that takes too long is given up; what waits is told so instead of hanging."""
    engine = GatedEngine(shut=True)
    async with batcher(engine) as b:
        stuck, waiting = await busy(engine, b), await start(b, "waiting")
        assert await b.drain(0.01) is False
        closing = asyncio.create_task(b.close())
        for task in (stuck, waiting):
            with pytest.raises(DrainingError):
                await soon(task)
        engine.open()
        await soon(closing)


async def test_metrics_of_batches():
    """The observer sees every batch with its number of items."""
    engine, diary = GatedEngine(), Diary()
    async with batcher(engine, diary, batch_tokens=2) as b:
        await soon(b.submit(words("a b c")))
    assert diary.batches == [2, 1]
