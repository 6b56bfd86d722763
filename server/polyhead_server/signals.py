"""How a process of polyhead is asked to stop."""

from __future__ import annotations

import asyncio
import os
import signal


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let the first SIGTERM or SIGINT set `stop`, and the second end the process at once."""
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
