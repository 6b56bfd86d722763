"""Threads that give way: the engine's work comes after what answers callers.

Where there are as many busy threads as processors, an equal share for each would keep calls waiting
in front of the event loop while batches run half full. The event loop first means that calls are
read, refused or queued at once, and that all waiting is done in the queue, which knows deadlines.
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

_STEPS = 3
"""Of niceness: about half the time of another thread, where there is not enough for both. More of
them would leave the engine too little beside other programs on the machine."""


def give_way() -> None:
    """Put the calling thread, and those that it starts from now on, behind the others.

    Only Linux has a niceness for each thread; elsewhere nothing happens.
    """
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _STEPS)


async def in_background(function: Callable[[], T]) -> T:
    """Call a function in a thread of its own that gives way, as all do that it starts."""
    thread = ThreadPoolExecutor(1, "polyhead-loading", initializer=give_way)
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, function)
    finally:
        thread.shutdown(wait=False)
