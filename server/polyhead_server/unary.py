"""What is around every method with one request and one answer."""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Any

import grpc

from polyhead_server.calls import Method, refuse
from polyhead_server.received import Decoder, Received

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from polyhead_server.calls import Call, Calls, Context

    Answer = Callable[[Any, Call], Awaitable[Any]]

_serialize = methodcaller("SerializeToString")


def unary(
    calls: Calls, method: Method, kind: type[Any], answer: Answer, *, to_all: bool = False
) -> grpc.RpcMethodHandler[Any, Any]:
    """A method for a server, with a decoder that never raises.

    Args:
        calls: opens the calls.
        method: the method.
        kind: type of its requests.
        answer: answers a request; what it raises becomes the status.
        to_all: answer those, too, who may not call.
    """

    async def handle(received: Received[Any], context: Context) -> Any:
        with calls.open(context, method) as call:
            call.received()
            if not to_all:
                call.let_in()
            response = await answer(received.sound(), call)
            call.sent()
            call.send_id()
            return response
        await refuse(context)
        return None

    return grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=Decoder(kind), response_serializer=_serialize
    )
