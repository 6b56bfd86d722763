"""How a process is asked to stop: the first signal politely, the second at once."""

from __future__ import annotations

import asyncio
import os
import signal

from background_server import PATIENCE

from polyhead_server.signals import stop_on_signals


async def test_second_signal():
    """A signal that comes twice at a time is one order; another one is the second."""
    stop, given_up = asyncio.Event(), asyncio.Queue()
    stop_on_signals(stop, at_once=given_up.put_nowait)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    async with asyncio.timeout(PATIENCE):
        await stop.wait()
        assert await given_up.get() == signal.SIGINT
    assert given_up.empty()
