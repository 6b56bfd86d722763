"""How a process of polyhead is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SAME_ORDER_SECONDS = 0.2
"""The same signal twice within this time is one order, sent to the process and to its group."""


def leave(number: int) -> None:
    """End the process at once, with the status of one that a signal ended."""
    os._exit(128 + number)


def stop_on_signals(stop: asyncio.Event, at_once: Callable[[int], object] = leave) -> None:
    """Let the first SIGTERM or SIGINT set `stop`, and a second one end the process.

    Args:
        stop: what is set.
        at_once: called with the number of every further signal; ends the process by default.
    """
    loop = asyncio.get_running_loop()
    last: dict[int, float] = {}

    def on_signal(number: int) -> None:
        echo = loop.time() - last.get(number, -math.inf) < _SAME_ORDER_SECONDS
        if echo:
            return
        last[number] = loop.time()
        if stop.is_set():
            at_once(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


@contextlib.contextmanager
def raised_by_signals(error: type[BaseException], *numbers: int) -> Iterator[None]:
    """Have signals raise an error in the block; a second of its kind ends the process at once.

    To be used in the main thread.
    """

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise error

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def reload_on_signal(reload: Callable[[], object]) -> None:
    """Have SIGHUP call `reload`, which otherwise ends a process."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def survive_reload_signals() -> None:
    """Have SIGHUP do nothing as long as nothing has been read that it could have read anew."""
    signal.signal(signal.SIGHUP, lambda *_: None)
