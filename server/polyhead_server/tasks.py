"""The end of tasks that run until they are told to stop."""

from __future__ import annotations

import asyncio

import structlog

_log = structlog.get_logger(__name__)


async def stopped(task: asyncio.Task[None] | None) -> None:
    """Cancel a task, if there is one, and wait until it has ended.

    What it failed of stands in the log: who stops has more to do, whatever has happened to it.
    """
    if task is not None:
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
        except Exception:  # noqa: BLE001 - whatever it is
            _log.exception("task_failed")
