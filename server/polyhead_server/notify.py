"""Words for systemd, by the protocol of sd_notify: ready, stopping, and signs of life.

Where the process was not started by a unit of Type=notify, there is nobody to tell, and nothing is
done.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG = "WATCHDOG_USEC"
_WATCHDOG_PID = "WATCHDOG_PID"
_SIGNS = 3
"""Signs of life in the time after which systemd takes the process for dead."""

_log = structlog.get_logger(__name__)


def tell(*words: str) -> bool:
    """Tell systemd; whether somebody was there to be told. Never raises, never waits."""
    address = os.environ.get(_SOCKET, "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # a name that is in no folder
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.setblocking(False)  # noqa: FBT003 - so it is called
            sock.sendto("\n".join(words).encode(), address)
    except OSError as error:
        _log.warning("systemd_not_told", words=words, reason=error.strerror)
        return False
    return True


@contextlib.contextmanager
def signs_of_life(alive: Callable[[], bool]) -> Iterator[None]:
    """Tell systemd again and again that the process is alive, as long as it is; on an event loop.

    Args:
        alive: whether it is; asked for each sign.
    """
    pause = _pause()
    if pause is None:
        yield
        return
    task = asyncio.create_task(_tell_again(alive, pause))
    try:
        yield
    finally:
        task.cancel()


async def _tell_again(alive: Callable[[], bool], pause: float) -> None:
    while True:
        if alive():
            tell(ALIVE)
        await asyncio.sleep(pause)


def _pause() -> float | None:
    """Seconds between two signs; None where nobody waits for ours."""
    wanted = os.environ.get(_WATCHDOG, "")
    if not wanted.isdecimal() or int(wanted) == 0:
        return None
    if os.environ.get(_WATCHDOG_PID, str(os.getpid())) != str(os.getpid()):
        return None
    return int(wanted) / 1e6 / _SIGNS
