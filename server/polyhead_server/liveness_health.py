"""grpc.health.v1 with names that come and go: the server, its services, its heads, its life."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2

from polyhead_server.aborting import abort
from polyhead_server.received import Decoder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from polyhead_server.received import Received

    Asked = Received[health_pb2.HealthCheckRequest]
    Context = grpc.aio.ServicerContext[Any, Any]

SERVICE_NAME = "grpc.health.v1.Health"
OVERALL = ""
"""The name of the server as a whole."""
LIVENESS = "liveness"
"""The name under which the process says whether it is alive."""

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Answers by what a function says now; watchers hear of it when `tell` is called.

    grpcio's own servicer forgets its other watchers when one of them leaves, and tells a caller
    whose message cannot be read the name of a Python exception.

    Args:
        names: gives each name that is known, and whether it is served.
    """

    def __init__(self, names: Callable[[], Mapping[str, bool]]) -> None:
        self._names = names
        self._told = names()
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Let watchers know what has changed."""
        now = self._names()
        if now != self._told:
            self._told = now
            self._changed.set()
            self._changed = asyncio.Event()

    async def check(self, received: Asked, context: Context) -> health_pb2.HealthCheckResponse:
        """Say how a name is."""
        status = self._status(await _name(received, context))
        if status == _UNKNOWN:
            await abort(context, grpc.StatusCode.NOT_FOUND, "nothing of this name is known")
        return health_pb2.HealthCheckResponse(status=status)

    async def watch(
        self, received: Asked, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Say how a name is, now and whenever that changes."""
        name = await _name(received, context)
        last = None
        while True:
            changed = self._changed
            status = self._status(name)
            if status != last:
                yield health_pb2.HealthCheckResponse(status=status)
            last = status
            await changed.wait()

    def handlers(self) -> grpc.GenericRpcHandler:
        """The service for a server, with decoders that never raise."""
        asked = Decoder(health_pb2.HealthCheckRequest)
        told = health_pb2.HealthCheckResponse.SerializeToString
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(self.check, asked, told),
            "Watch": grpc.unary_stream_rpc_method_handler(self.watch, asked, told),
        }
        return grpc.method_handlers_generic_handler(SERVICE_NAME, methods)

    def _status(self, name: str) -> int:
        served = self._names().get(name)
        if served is None:
            return int(_UNKNOWN)
        return int(_SERVING if served else _NOT_SERVING)


async def _name(received: Asked, context: Context) -> str:
    """The name that is asked for; a message that cannot be read ends the call."""
    if received.violations:
        text = "; ".join(f"{one.field}: {one.description}" for one in received.violations)
        await abort(context, grpc.StatusCode.INVALID_ARGUMENT, text)
    return str(received.message.service)


def health_names(
    services: Mapping[str, tuple[str, ...]], *, ready: bool, alive: bool
) -> dict[str, bool]:
    """Every name of a server.

    Args:
        services: heads by full name of the service; a head's name is SERVICE/HEAD.
        ready: whether calls are taken.
        alive: whether the process can answer at all.
    """
    heads = [f"{service}/{head}" for service, found in services.items() for head in found]
    serving = ready and alive
    return {LIVENESS: alive, OVERALL: serving} | dict.fromkeys([*services, *heads], serving)
