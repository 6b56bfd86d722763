"""What becomes of calls whose client was closed between two of their attempts.

grpc refuses to begin anything on a closed channel, by errors that are none of its calls'. To who
waits for an answer it is the same as when the channel is closed under a call.
"""

from __future__ import annotations

from typing import Any, NoReturn, Self

import grpc


def closed_failure() -> grpc.RpcError:
    """Give the failure of a call whose client was closed."""
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(
        grpc.StatusCode.CANCELLED, nothing, nothing, details="the client was closed"
    )


class ClosedStream:
    """A stream that failed before it began."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> NoReturn:
        """Raise its failure, a grpc.RpcError."""
        raise closed_failure()

    def cancel(self) -> Any:
        """Do nothing: it is over."""
