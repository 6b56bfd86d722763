"""gRPC's reflection service, for callers whose messages cannot be read, too.

The library's own decoder would tell them the name of a Python exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from polyhead_server.aborting import abort
from polyhead_server.received import Decoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from polyhead_server.received import Received

    Asked = Received[reflection_pb2.ServerReflectionRequest]
    Context = grpc.aio.ServicerContext[Any, Any]


def reflection_handlers(services: Iterable[str]) -> grpc.GenericRpcHandler:
    """The service for a server.

    Args:
        services: full names of what it tells of.
    """
    servicer = reflection.aio.ReflectionServicer(services)

    async def answer(asked: AsyncIterator[Asked], context: Context) -> AsyncIterator[Any]:
        async for told in servicer.ServerReflectionInfo(_sound(asked, context), context):
            yield told

    method = grpc.stream_stream_rpc_method_handler(
        answer,
        Decoder(reflection_pb2.ServerReflectionRequest),
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(
        reflection.SERVICE_NAME, {"ServerReflectionInfo": method}
    )


async def _sound(asked: AsyncIterator[Asked], context: Context) -> AsyncIterator[Any]:
    async for received in asked:
        if received.violations:
            text = "; ".join(f"{one.field}: {one.description}" for one in received.violations)
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text)
        yield received.message
