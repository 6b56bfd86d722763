"""A server's going, in such an order that its last answers arrive.

gRPC tells each connection to ask no more, and closes it right behind its last answer. Where the
client has sent something meanwhile, as it does while it reads, the system resets a connection that
is closed, and what of an answer is still on its way is lost. So calls that may have a large answer
end before connections are told; and what is answered from then on has its end told apart, once
all before it was taken.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from polyhead_server.taken import Connections

if TYPE_CHECKING:
    from polyhead_server.aborting import Context

LARGE_REQUEST = 1_024
"""Bytes of a request whose answer may be under way for a while: one that tags words has some thirty
times as many, and a connection takes 14 KB at once at its beginning."""


class Departure:
    """Whether the server is going, and which large calls are still under way.

    Attributes:
        begun: the server is going.
    """

    def __init__(self) -> None:
        self.begun = False
        self._connections = Connections()
        self._callers: dict[object, str] = {}  # of each large call
        self._none_large = asyncio.Event()
        self._none_large.set()

    def large(self, context: Context) -> None:
        """Count a large call from now until its answer is written."""
        call = object()  # the context itself would be held by its own callback
        self._callers[call] = context.peer()
        self._none_large.clear()
        ended: Any = partial(self._ended, call)
        context.add_done_callback(ended)

    async def begin(self, limit: float) -> None:
        """Go, and wait `limit` seconds at most until the large calls under way are answered.

        What comes meanwhile is answered, too.
        """
        self.begun = True
        callers = set(self._callers.values())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._none_large.wait()
                for caller in callers:
                    await self._connections.taken(caller)

    async def taken(self, context: Context) -> None:
        """While the server is going, wait until a caller has taken what was written to it."""
        if self.begun:
            await self._connections.taken(context.peer())

    def _ended(self, call: object, _: object) -> None:
        del self._callers[call]
        if not self._callers:
            self._none_large.set()
