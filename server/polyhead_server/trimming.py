"""Memory that a burst of calls or connections has left behind goes back to the system.

The C library keeps what was freed for later, 110 MB of it after 10,000 connections, unless it is
asked to give it up.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server.garbage import trim
from polyhead_server.tasks import stopped

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 3.0
"""Between two looks."""
_SHARE, _ROOM = 0.02, 4 * 2**20
"""Growth that is not worth asking for, which takes half a millisecond of another thread where
nothing is free, and eight for 100 MB."""
_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Bytes of this process in memory; 0 where the system does not tell."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


class Trimming:
    """Asks for free memory while the process has more than it once had.

    Args:
        resident: gives the bytes in memory, 0 where nobody knows; then nothing is done.
        give_back: asks; called in a thread.
    """

    def __init__(
        self,
        resident: Callable[[], int] = resident_bytes,
        give_back: Callable[[], None] = trim,
        seconds: float = _SECONDS,
    ) -> None:
        self._resident = resident
        self._give_back = give_back
        self._seconds = seconds
        self._least = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._least = self._resident()
        if self._least:
            self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Look no more."""
        await stopped(self._task)

    async def look(self) -> None:
        """Ask for what is free where there is more than at the least so far."""
        now = self._resident()
        if now > self._least * (1 + _SHARE) + _ROOM:
            await asyncio.to_thread(self._give_back)
            now = self._resident()
        self._least = min(self._least, now)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self.look()
