"""Watches a bundle's folder, or what a link leads to, and says when there is another bundle."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server.bundle import MANIFEST
from polyhead_server.tasks import stopped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Stamp = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of each file."""

_LOOK_SECONDS = 0.5


class Watch:
    """Calls a function when a bundle has changed and no file of it changes any more.

    A bundle that is still being copied changes from look to look, and is left alone until it does
    not. Where it was only thought to be complete, the function is called again once it is.

    Args:
        path: the bundle's folder, or a link to it.
        known: what it was when it was loaded.
        changed: what to call.
    """

    def __init__(self, path: Path, known: Stamp, changed: Callable[[], Awaitable[None]]) -> None:
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
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = await asyncio.to_thread(stamp, self._path)
            if now == last != self._known and now:
                self._known = now
                await self._changed()
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
