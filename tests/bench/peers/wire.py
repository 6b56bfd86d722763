"""HTTP/1.1 with the surface of `tests.bench.wire.Connection`: prepared bytes out, replies in.

A pool keeps its connections alive and opens another one when all are busy, as HTTP clients do.
"""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

from tests.bench.wire import OK, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECEIVE_BYTES = 1 << 20
_HEAD_END = b"\r\n\r\n"
_GOOD = b"HTTP/1.1 200"


class _Line:
    """One connection, with one request at a time."""

    __slots__ = ("began", "data", "request", "socket", "whole")

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytearray()
        self.whole = 0

    def send(self, request: Request, began: float) -> None:
        self.request, self.began = request, began
        self.data.clear()
        self.whole = 0
        self.socket.sendall(request.headers + request.body)

    def take(self) -> bool:
        """Read what is there: whether the answer is whole."""
        received = self.socket.recv(_RECEIVE_BYTES)
        if not received:
            raise ConnectionError("the server closed the connection")
        self.data += received
        if not self.whole:
            head = self.data.find(_HEAD_END)
            if head < 0:
                return False
            self.whole = head + len(_HEAD_END) + _length(bytes(self.data[:head]))
        return len(self.data) >= self.whole


class Pool:
    """As many connections as there are requests under way."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._place = host, int(port)
        self._ready = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._free: list[_Line] = []

    def fileno(self) -> int:
        """For select."""
        return self._ready.fileno()

    @property
    def under_way(self) -> int:
        """Requests without their answer."""
        return len(self._lines) - len(self._free)

    def start(self, request: Request, began: float) -> None:
        """Send a request at once."""
        line = self._free.pop() if self._free else self._another()
        line.send(request, began)

    def flush(self) -> None:
        """Nothing is ever held back."""

    def receive(self) -> list[Reply]:
        """Read what is there, and give the requests that have been answered.

        Raises:
            ConnectionError: the server closed a connection.
        """
        return list(self._whole())

    def close(self) -> None:
        """Close all connections."""
        for line in self._lines.values():
            line.socket.close()
        self._ready.close()

    def _another(self) -> _Line:
        line = _Line(*self._place)
        self._lines[line.socket.fileno()] = line
        self._ready.register(line.socket, select.EPOLLIN)
        return line

    def _drop(self, line: _Line) -> None:
        self._free.remove(line)
        del self._lines[line.socket.fileno()]
        self._ready.unregister(line.socket)
        line.socket.close()

    def _whole(self) -> Iterator[Reply]:
        for number, _ in self._ready.poll(0):
            line = self._lines[number]
            if line in self._free:  # the server closed it, having heard nothing for long
                self._drop(line)
            elif line.take():
                status = OK if line.data.startswith(_GOOD) else bytes(line.data[:60]).decode()
                self._free.append(line)
                yield Reply(line.request, line.began, time.perf_counter(), status, len(line.data))


def post_headers(path: str, length: int) -> bytes:
    """The head of a POST of JSON."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: peer\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ConnectionError("an answer without a length")
