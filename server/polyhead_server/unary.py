"""What is around every method with one request and one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from polyhead_server.calls import Method, refuse
from polyhead_server.departure import LARGE_REQUEST
from polyhead_server.received import Decoder, Received

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import grpc

    from polyhead_server.calls import Call, Calls, Context

    Answer = Callable[[Any, Call], Awaitable[Any]]


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

    async def respond(received: Received[Any], call: Call) -> bytes:
        call.received()
        if not to_all:
            call.let_in()
        response: bytes = (await answer(received.sound(), call)).SerializeToString()
        call.sent()
        call.send_id()
        return response

    async def at_once(received: Received[Any], context: Context) -> bytes:
        if received.size >= LARGE_REQUEST:
            calls.departure.large(context)
        with calls.open(context, method) as call:
            return await respond(received, call)
        await refuse(context)
        return b""  # to nobody: the caller is gone

    async def apart(received: Received[Any], context: Context) -> None:
        with calls.open(context, method) as call:
            await context.write(await respond(received, call))
            await calls.departure.taken(context)
        await refuse(context)

    handler = _Unary(calls, Decoder(kind), at_once, apart)
    return cast("grpc.RpcMethodHandler[Any, Any]", handler)


class _Unary:
    """One request, one answer: with its status at once, or apart while the server is going.

    Apart costs 50 us more. On the wire they are the same. gRPC asks for each call what it is.
    """

    request_streaming = False
    response_serializer = stream_unary = stream_stream = None

    def __init__(self, calls: Calls, decoder: Decoder[Any], at_once: Any, apart: Any) -> None:
        self._departure = calls.departure
        self.request_deserializer = decoder
        self.unary_unary = at_once
        self.unary_stream = apart

    @property
    def response_streaming(self) -> bool:
        """Whether its answer is a message and then a status."""
        return self._departure.begun
