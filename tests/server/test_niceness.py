"""What gives way does so for itself and what it starts, and for nobody else."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from polyhead_server.niceness import give_way, in_background

LAST = 19
STEPS = 3 if sys.platform == "linux" else 0


def niceness():
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def in_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_a_thread_and_those_it_starts_give_way():
    """They come behind the thread that goes on as before."""
    before = niceness()

    def work():
        give_way()
        return niceness(), in_thread(niceness)

    assert in_thread(work) == (min(before + STEPS, LAST),) * 2
    assert niceness() == before


async def test_work_in_the_background():
    """It gives way, and what it gives or raises comes back."""
    before = niceness()
    assert await in_background(niceness) == min(before + STEPS, LAST)
    assert niceness() == before
    with pytest.raises(ZeroDivisionError):
        await in_background(lambda: 1 // 0)
