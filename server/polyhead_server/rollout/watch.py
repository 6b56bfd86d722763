"""Watches a bundle's folder, or what a link leads to, and says when there is another bundle."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server.bundle import MANIFEST
from polyhead_server.tasks import stopped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Stamp = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of each file."""

_LOOK_SECONDS = 0.5
_REST_SECONDS = 5.0
"""Before the same bundle is tried again."""


class Watch:
    """Calls a function when a bundle has changed and no file of it changes any more.

    A bundle that is still being copied changes from look to look, and is left alone until it does
    not. Where it was only thought to be complete, the function is called again once it is; and so
    it is after a while where it says that it may go well later.

    Args:
        path: the bundle's folder, or a link to it.
        known: what it was when it was loaded.
        changed: what to call; says whether it is to be called again for the same.
    """

    def __init__(self, path: Path, known: Stamp, changed: Callable[[], Awaitable[bool]]) -> None:
        self._path = path
        self._known = known
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._look())

    async def close(self) -> None:
        """Look no more."""
        await stopped(self._task)

    async def _look(self) -> None:
        last = self._known
        rested = 0.0
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = await asyncio.to_thread(stamp, self._path)
            if now == last != self._known and now and time.monotonic() >= rested:
                if await self._changed():
                    rested = time.monotonic() + _REST_SECONDS
                else:
                    self._known = now
            last = now


def stamp(path: Path) -> Stamp:
    """What changes whenever a file of a bundle does; empty where no manifest is to be seen."""
    try:
        folder = path.resolve()
        if not (folder / MANIFEST).is_file():
            return ()
    except (OSError, RuntimeError):  # no rights, no network; links that lead in a circle
        return ()
    return tuple(sorted(_files(folder)))


def _files(folder: Path) -> list[tuple[str, int, int, int]]:
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            file = Path(root, name)
            with contextlib.suppress(OSError):
                status = file.stat()
                found.append((str(file), status.st_ino, status.st_size, status.st_mtime_ns))
    return found
