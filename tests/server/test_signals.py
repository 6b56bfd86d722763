"""How a process is asked to stop: the first signal politely, the second at once."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, os, signal
from polyhead_server.signals import stop_on_signals

async def main():
    stop, given_up = asyncio.Event(), asyncio.Queue()
    stop_on_signals(stop, at_once=given_up.put_nowait)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    await stop.wait()
    print(int(await given_up.get()), given_up.qsize())

asyncio.run(main())
"""


def test_second_signal():
    """A signal that comes twice at a time is one order; another one is the second."""
    ended = subprocess.run(  # of its own: a signal is for a whole process
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("2 0\n", "", 0)
