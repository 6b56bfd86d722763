"""SIGTERM ends a command as Ctrl-C does: what is half made goes, and it is said how to go on."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

from polyhead_server.signals import raised_by_signals


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def terminable() -> contextlib.AbstractContextManager[None]:
    """Have SIGTERM raise `Terminated` in the block; a second one ends the process at once.

    In a process of torchrun it does so from the beginning: such processes wait for each other where
    Python sees no signal. Threads other than the main one cannot say what a signal does.
    """
    if "RANK" in os.environ or threading.current_thread() is not threading.main_thread():
        return contextlib.nullcontext()
    return raised_by_signals(Terminated, signal.SIGTERM)
