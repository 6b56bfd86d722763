"""Threads that give way: the engine's work comes after what answers callers.

Where there are as many busy threads as processors, an equal share for each would keep calls waiting
in front of the event loop while batches run half full. The event loop first means that calls are
read, refused or queued at once, and that all waiting is done in the queue, which knows deadlines.

A thread that now and then holds the interpreter must not come far behind, though: while it waits
for a processor, the event loop waits for the interpreter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

WAY = 3
"""Steps of niceness of threads that hold the interpreter at times: about half the time of another
thread, where there is not enough for both."""
BEHIND = 7
"""Steps more of threads that only compute: about a tenth of the time. At 1.5 times what two
processors can do, calls are refused in half the time that it takes without."""


def give_way(steps: int = WAY) -> None:
    """Put the calling thread, and those that it starts from now on, behind the others.

    Only Linux has a niceness for each thread; elsewhere nothing happens.

    Args:
        steps: of niceness.
    """
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + steps)


def put_behind(function: Callable[[], T]) -> T:
    """Call a function whose threads only compute: all that it starts are far behind the others."""
    with ThreadPoolExecutor(1, "polyhead-start", give_way, (BEHIND,)) as thread:
        return thread.submit(function).result()


async def in_background(function: Callable[[], T]) -> T:
    """Call a function in a thread of its own that gives way, as all do that it starts."""
    thread = ThreadPoolExecutor(1, "polyhead-loading", initializer=give_way)
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, function)
    finally:
        thread.shutdown(wait=False)
