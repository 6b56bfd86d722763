"""More calls taken from gRPC at a time than its server on asyncio takes by itself.

That server asks the core for a call, waits for it, and only then asks for the next one: two turns
of the event loop and a trip through the poller's thread for each. A busy event loop's turns are
long, so calls pile up unseen in the core, though there would be time to read them; and a call that
nobody sees is not refused either, however hopeless it is. Several requests for a call are
outstanding at the same time here, in addition to the server's own.

That takes parts of grpcio which are not public. Where a release has others than those that are
known, calls are accepted as it does by itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from grpc._cython import cygrpc  # type: ignore[attr-defined]

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    import grpc

_log = structlog.get_logger(__name__)

ACCEPTORS = 32
"""Calls asked for at a time. With 4, calls still piled up at 1.5 times what two processors can do;
with 64 it was no better than with 32."""


class Acceptors:
    """Take calls for a server that has been started, until it is stopped.

    Args:
        server: the server; it has no interceptors and no limit of its own on calls at a time.
        handlers: all that were added to it.
    """

    def __init__(self, server: grpc.aio.Server, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._core: Any = getattr(server, "_server", None)
        self._handlers = list(handlers)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, count: int = ACCEPTORS) -> int:
        """Begin to take calls; how many at a time. None where this grpcio is not known."""
        if not self._fits():
            _log.info("accepts_one_by_one", why="this release of grpcio is not known")
            return 0
        for _ in range(count):
            self._keep(self._accept())
        return count

    @property
    def under_way(self) -> int:
        """Calls that are asked for or answered."""
        return len(self._tasks)

    def _fits(self) -> bool:
        """Try with a call that is none whether everything takes what it is given."""
        try:
            call = self._answer(cygrpc.RPCState(self._core))
        except (AttributeError, TypeError):
            return False
        call.close()
        needed = ((self._core, "is_running"), (self._core, "_request_call"))
        return all(hasattr(*part) for part in (*needed, (cygrpc, "_schedule_rpc_coro")))

    async def _accept(self) -> None:
        # Never to be cancelled: the core would write the call into memory that is gone. Stopping
        # the server ends it.
        while self._core.is_running():
            try:
                self._take(await self._core._request_call())  # noqa: SLF001 - see above
            except cygrpc._RequestCallError:  # noqa: SLF001 - the call, or the server, has ended
                await asyncio.sleep(0)

    def _take(self, state: Any) -> None:
        """Answer a call; whoever waits for the next one does not hold it any more."""
        self._keep(cygrpc._schedule_rpc_coro(self._answer(state), state, self._loop))  # noqa: SLF001

    def _answer(self, state: Any) -> Coroutine[Any, Any, None]:
        answer: Coroutine[Any, Any, None] = cygrpc._handle_rpc(  # noqa: SLF001 - see above
            self._handlers, (), state, self._loop, concurrency_exceeded=False
        )
        return answer

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it; the event loop by itself would not keep its task from being collected."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
