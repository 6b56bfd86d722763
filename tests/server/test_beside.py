"""Outputs of one batch are made while the engine runs the next one, and nothing gets lost by it."""

from __future__ import annotations

import asyncio

import pytest
from gated_engine import Diary, GatedEngine, Word, batcher, begun, busy, soon, start, words

from polyhead_server.errors import InternalError


async def test_the_next_batch_runs_while_outputs_are_made():
    """Slow heads of one batch do not keep the engine from the next one."""
    engine = GatedEngine()
    engine.hold_outputs()
    async with batcher(engine, beside=True) as b:
        first = await start(b, "first")
        assert await engine.entered() == ["first"]
        second = await start(b, "second")
        assert await engine.entered() == ["second"]
        assert not first.done()
        engine.let_outputs_out()
        assert (await soon(first)).outputs == ["FIRST"]
        assert (await soon(second)).outputs == ["SECOND"]
    assert engine.most_at_once == 1


async def test_one_thread_makes_outputs_before_it_goes_on():
    """Without a thread beside, batches and their outputs take turns."""
    engine = GatedEngine()
    engine.hold_outputs()
    async with batcher(engine) as b:
        tasks = [await start(b, "first")]
        await engine.entered()
        tasks.append(await start(b, "second"))
        assert engine.batches == [["first"]]
        engine.let_outputs_out()
        await soon(asyncio.gather(*tasks))


async def test_late_comers_still_get_into_the_next_batch():
    """A batch is cut when the engine is free, not ahead of that."""
    engine = GatedEngine(shut=True)
    async with batcher(engine, beside=True) as b:
        tasks = [await busy(engine, b)]
        tasks += [await start(b, "early")]
        tasks += [await start(b, "late")]
        engine.open()
        await soon(asyncio.gather(*tasks))
    assert engine.batches == [["busy"], ["early", "late"]]


@pytest.mark.parametrize("fault", ["poison", "indigestible"])
async def test_a_fault_fails_only_its_own_call_while_others_run(fault):
    """In the engine or behind it, a bad item fails its call; the neighbours are run again."""
    engine, diary = GatedEngine(shut=True), Diary()
    async with batcher(engine, diary, beside=True) as b:
        tasks = [await busy(engine, b)]
        bad = asyncio.create_task(b.submit([Word("fine"), Word("bad", **{fault: True})]))
        await begun(bad)
        tasks += [await start(b, "good")]
        engine.let_one_run()
        assert await engine.entered() == ["fine", "bad", "good"]
        tasks += [await start(b, "next")]
        engine.open()
        for _ in range(10):
            engine.let_one_run()
        answers = await soon(asyncio.gather(*tasks))
        with pytest.raises(InternalError):
            await soon(bad)
    assert [answer.outputs for answer in answers] == [["BUSY"], ["GOOD"], ["NEXT"]]
    assert engine.most_at_once == 1


async def test_closing_ends_all_threads_while_outputs_are_made():
    """A close in the middle neither hangs nor loses what was told."""
    engine = GatedEngine()
    engine.hold_outputs()
    async with batcher(engine, beside=True) as b:
        first = await start(b, "first")
        await engine.entered()
        closing = asyncio.create_task(b.close())
        await begun(closing)
        engine.let_outputs_out()
        await soon(closing)
        assert first.done()


async def test_a_call_over_several_batches_adds_its_runs_up():
    """Outputs of several batches that are made at the same time end in one answer, in order."""
    engine = GatedEngine()
    async with batcher(engine, batch_tokens=2, beside=True) as b:
        answer = await soon(b.submit(words("a b c d e f g")))
    assert answer.outputs == ["A", "B", "C", "D", "E", "F", "G"]
    assert answer.encode_seconds == pytest.approx(4 * 0.002)
