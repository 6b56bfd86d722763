"""What gives way does so for itself and what it starts, and for nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

import pytest

from polyhead_server.niceness import BEHIND, WAY, give_way, in_background, put_behind

LAST = 19
LINUX = sys.platform == "linux"
STEPS = WAY if LINUX else 0
FAR = BEHIND if LINUX else 0

ENGINE = """
import json, os, sys
from pathlib import Path
from polyhead_server.engine import EngineOptions
from polyhead_server.model import Model

model = Model.load(Path(sys.argv[1]), threads=2, options=EngineOptions(streams=int(sys.argv[2])))
model.run(model.jobs(model.tokenize("the word"), ("pos",)))
before = os.getpriority(os.PRIO_PROCESS, 0)
threads = (int(thread.name) for thread in Path("/proc/self/task").iterdir())
found = {os.getpriority(os.PRIO_PROCESS, thread) - before for thread in threads}
print(json.dumps({"apart": model.engine.apart, "niceness": sorted(found)}))
"""
"""In a process of its own: threads are used again, and keep what niceness they began with."""


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
@pytest.mark.parametrize(("streams", "expected"), [(2, {0, BEHIND}), (1, {0})])
def test_threads_of_an_engine(tiny_bundle, streams, expected):
    """Several streams compute in threads of their own; a single one does in whoever calls."""
    program = [sys.executable, "-c", ENGINE, str(tiny_bundle), str(streams)]
    found = json.loads(subprocess.check_output(program))
    assert found == {"apart": streams > 1, "niceness": sorted(expected)}
