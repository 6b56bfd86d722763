"""Room for the work that a stream has read and not yet answered."""

from __future__ import annotations

import asyncio


class Room:
    """Counts what is held; whoever brings more waits until less than the most is.

    Args:
        most: how much may be held before waiting begins.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._freed = asyncio.Event()

    async def wait(self) -> None:
        """Wait until there is room."""
        while self._held >= self._most:
            self._freed.clear()
            await self._freed.wait()

    def take(self, size: int) -> None:
        """Hold so much more."""
        self._held += size

    def give(self, size: int) -> None:
        """Hold so much less."""
        self._held -= size
        self._freed.set()
