"""What gives way does so for itself and what it starts, and for nobody else."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from polyhead_server.engine import EngineOptions
from polyhead_server.model import Model
from polyhead_server.niceness import BEHIND, WAY, give_way, in_background, put_behind

LAST = 19
THREADS = Path("/proc/self/task")
LINUX = sys.platform == "linux"
STEPS = WAY if LINUX else 0
FAR = BEHIND if LINUX else 0


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


def test_what_only_computes_comes_far_behind():
    """Threads that it starts do, the caller does not, and what it raises comes back."""
    before = niceness()
    assert put_behind(lambda: in_thread(niceness)) == min(before + FAR, LAST)
    assert niceness() == before
    with pytest.raises(ZeroDivisionError):
        put_behind(lambda: 1 // 0)


@pytest.mark.skipif(not LINUX, reason="only Linux has a niceness for each thread")
@pytest.mark.parametrize(("streams", "expected"), [(2, BEHIND), (1, 0)])
def test_threads_of_an_engine(tiny_bundle, streams, expected):
    """Several streams compute in threads of their own; a single one does in whoever calls."""
    before = niceness()
    known = set(THREADS.iterdir())
    model = Model.load(tiny_bundle, threads=2, options=EngineOptions(streams=streams))
    model.run(model.jobs(model.tokenize("the word"), ("pos",)))
    new = set(THREADS.iterdir()) - known
    found = {os.getpriority(os.PRIO_PROCESS, int(thread.name)) - before for thread in new}
    assert model.engine.apart == (streams > 1)
    assert found <= {0, expected}
    assert expected in {0, *found}  # a single stream may compute in threads that were there
    model.close()
