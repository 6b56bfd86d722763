"""The end of a gRPC call with a status and nothing before it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


async def abort(
    context: Context, code: grpc.StatusCode, details: str, trailing_metadata: Any = ()
) -> None:
    """End a call at once.

    gRPC keeps the error with the call, and the error's traceback the call with it: the call would
    hold its place among its connection's streams until Python looks for garbage.

    Raises:
        AbortError: always, for gRPC.
    """
    try:
        await context.abort(code, details, trailing_metadata)
    except grpc.aio.AbortError as abortion:
        asyncio.get_running_loop().call_soon(abortion.with_traceback, None)
        raise
