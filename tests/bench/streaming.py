"""One call of many messages, with the surface of a connection of single calls."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tests.bench.wire import HEADERS, OK, Connection, Reply

if TYPE_CHECKING:
    from tests.bench.wire import Open, Request

_MESSAGE_HEAD = 5


class StreamConnection(Connection):
    """One connection with one call of many messages: `start` sends a message of it.

    Messages are answered in the order in which the work is done; here they are taken to come in the
    order of asking, which is right on the whole where requests are alike.
    """

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._stream = 0
        self._asked: deque[tuple[Request, float]] = deque()

    @property
    def under_way(self) -> int:
        """Messages without their answer."""
        return len(self._asked)

    def start(self, request: Request, began: float) -> None:
        """Send a message, and begin the call with the first."""
        if not self._stream:
            self._stream = self.open(request, began)
        self._asked.append((request, began))
        self.send(self._stream, request.body, last=False)

    def _take_part(
        self, kind: int, call: Open, payload: bytes, now: float, replies: list[Reply]
    ) -> None:
        super()._take_part(kind, call, payload, now, replies)
        if kind == HEADERS:
            return
        pieces = call.pieces
        pieces += payload
        while len(pieces) >= _MESSAGE_HEAD:
            end = _MESSAGE_HEAD + int.from_bytes(pieces[1:_MESSAGE_HEAD])
            if len(pieces) < end:
                return
            del pieces[:end]
            request, began = self._asked.popleft()
            replies.append(Reply(request, began, now, OK, end))
