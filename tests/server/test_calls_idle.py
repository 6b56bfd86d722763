"""Waiting for calls to end, as a drain does."""

from __future__ import annotations

import asyncio

from polyhead_server.calls import Calls
from polyhead_server.metrics import Metrics


async def test_a_call_that_begins_meanwhile_is_waited_for():
    """A call that begins right after the last one has ended is waited for, too."""
    calls = Calls(Metrics(), default_deadline=1.0)
    calls.begun()
    idle = asyncio.create_task(calls.idle(30.0))
    await asyncio.sleep(0)
    calls.ended()
    calls.begun()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not idle.done()
    calls.ended()
    assert await idle


async def test_the_wait_has_a_limit():
    """Calls that do not end are told of after the limit."""
    calls = Calls(Metrics(), default_deadline=1.0)
    calls.begun()
    assert not await calls.idle(0.001)


async def test_calls_of_all_ports_are_counted_together():
    """The admin port has calls of its own, and both are told by one number."""
    metrics = Metrics()
    public, admin = Calls(metrics), Calls(metrics)
    public.begun()
    public.begun()
    admin.begun()
    assert metrics.registry.get_sample_value("polyhead_in_flight") == 3
    public.ended()
    assert metrics.registry.get_sample_value("polyhead_in_flight") == 2
