"""The end of tasks that run until they are told to stop."""

from __future__ import annotations

import asyncio
import contextlib


async def stopped(task: asyncio.Task[None] | None) -> None:
    """Cancel a task, if there is one, and wait until it has ended."""
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
