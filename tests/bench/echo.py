"""A bare gRPC server: what a call costs where nothing is done for it.

`/echo/560` answers every request with 560 bytes, any other method with none: a collector of traces
may answer so.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

import grpc.aio

if TYPE_CHECKING:
    from typing import Any

PREFIX = "/echo/"


class Echo(grpc.GenericRpcHandler):
    """Answers any method."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of one method; one for each size of answer."""
        method = handler_call_details.method
        return _handler(int(method.removeprefix(PREFIX)) if method.startswith(PREFIX) else 0)


@cache
def _handler(size: int) -> Any:
    answer = bytes(size)

    async def reply(request: bytes, context: object) -> bytes:
        return answer

    return grpc.unary_unary_rpc_method_handler(reply)


async def main() -> None:
    """Serve until terminated."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"echo ready on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
