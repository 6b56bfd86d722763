"""Engines come and go in any thread, and the process that they are in takes signals as before."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, os, signal, sys, threading
from pathlib import Path
from polyhead_server.model import Model

models = [Model.load(Path(sys.argv[1]), threads=1)]

def drop():
    models.pop().close()
    gc.collect()

other = threading.Thread(target=drop)
other.start()
other.join()
signal.signal(signal.SIGHUP, lambda number, frame: print("handled", number))
os.kill(os.getpid(), signal.SIGHUP)
"""


def test_closed_in_another_thread(tiny_bundle):
    """Whoever loads an engine, and whoever drops it, signals are handled."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tiny_bundle)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("handled 1\n", "", 0)
