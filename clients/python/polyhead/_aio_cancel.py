"""Who cancelled a call: the task that waits for it, or somebody who closed the client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from polyhead._closed import closed_failure

if TYPE_CHECKING:
    import grpc


def failure_of(cancelled: asyncio.CancelledError) -> grpc.RpcError:
    """Give the failure of a call that was cancelled under the task that waits for it.

    grpc.aio raises CancelledError for that too. Passed on, it would look like the cancelling of a
    task that nobody cancelled.

    Args:
        cancelled: What grpc.aio raised.

    Raises:
        CancelledError: The same, where it is the task that is cancelled.
    """
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise cancelled
    return closed_failure()
