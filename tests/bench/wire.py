"""HTTP/2 as far as a load generator needs it: prepared frames out, statuses and lengths in.

A call costs this process about a tenth of what a full gRPC client spends on it, so that the server
keeps the processors. Header tables are switched off, which makes a header block mean the same
wherever it stands; the receive windows are opened once, for 2 GiB a connection.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from dataclasses import dataclass

from tests.bench.hpack import OK, post_block, status_of

__all__ = [
    "OK",
    "PREFACE",
    "Connection",
    "Reply",
    "Request",
    "frame",
    "grpc_headers",
    "json_headers",
    "message",
]

BROKEN = "broken"
"""Status of a call that ended without one."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW = 1, 2, 4
_WIDEST = 2**31 - 1
_DEFAULT_WINDOW = 65_535
_MOST_FRAME = 16_384
_FRAME_HEAD = 9
_RECEIVE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """One prepared call."""

    headers: bytes
    body: bytes
    texts: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for one call, or for one message of a stream."""

    request: Request
    began: float
    """`time.perf_counter` when it was sent, or when it was due."""
    ended: float
    status: str
    bytes: int

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


class Open:
    """A call under way: for connections only."""

    __slots__ = ("began", "credit", "pieces", "request", "size", "status")

    def __init__(self, request: Request, began: float) -> None:
        self.request = request
        self.began = began
        self.credit = 0
        self.size = 0
        self.pieces = bytearray()
        self.status = BROKEN


class Connection:
    """One connection. `start` and `send` queue, `flush` writes, `receive` gives what has ended."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._next = 1
        self._open: dict[int, Open] = {}
        self._held: deque[tuple[int, memoryview, bool]] = deque()
        self._room = self._first_room = _DEFAULT_WINDOW
        self._rest = b""
        settings = struct.pack(
            "!HIHIHI", _HEADER_TABLE_SIZE, 0, _ENABLE_PUSH, 0, _INITIAL_WINDOW, _WIDEST
        )
        self._out = bytearray(PREFACE)
        self._out += frame(_SETTINGS, 0, 0, settings)
        self._out += frame(_WINDOW, 0, 0, struct.pack("!I", _WIDEST - _DEFAULT_WINDOW))
        self.flush()

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    @property
    def under_way(self) -> int:
        """Calls without their end."""
        return len(self._open)

    def start(self, request: Request, began: float) -> None:
        """Begin a call and send its one message."""
        self.send(self.open(request, began), request.body, last=True)

    def open(self, request: Request, began: float) -> int:
        """Begin a call and send no message yet: its stream."""
        stream = self._next
        self._next += 2
        self._open[stream] = Open(request, began)
        self._out += frame(HEADERS, _END_HEADERS, stream, request.headers)
        return stream

    def send(self, stream: int, body: bytes, *, last: bool) -> None:
        """Send bytes on a stream, now or as soon as the server has room for them."""
        self._held.append((stream, memoryview(body), last))
        self._send_held()

    def flush(self) -> None:
        """Write what is queued."""
        if self._out:
            self._socket.sendall(self._out)
            self._out.clear()

    def receive(self) -> list[Reply]:
        """Read what is there, and give the calls that have ended.

        Raises:
            ConnectionError: the server closed the connection.
        """
        received = self._socket.recv(_RECEIVE_BYTES)
        if not received:
            raise ConnectionError("the server closed the connection")
        replies: list[Reply] = []
        data = self._rest + received
        at, now = 0, time.perf_counter()
        while len(data) - at >= _FRAME_HEAD:
            length = int.from_bytes(data[at : at + 3])
            body = at + _FRAME_HEAD
            if body + length > len(data):
                break
            stream = int.from_bytes(data[at + 5 : body])
            self._take(data[at + 3], data[at + 4], stream, data[body : body + length], now, replies)
            at = body + length
        self._rest = data[at:]
        return replies

    def close(self) -> None:
        """Close at once; calls under way are cancelled."""
        self._socket.close()

    def _take(
        self, kind: int, flags: int, stream: int, payload: bytes, now: float, replies: list[Reply]
    ) -> None:
        if kind in (_DATA, HEADERS):
            call = self._open.get(stream)
            if call is not None:
                self._take_part(kind, call, payload, now, replies)
                if flags & _END_STREAM:
                    self._end(stream, now, replies)
        elif kind == _RESET:
            self._end(stream, now, replies)
        elif kind == _WINDOW:
            self._widen(stream, int.from_bytes(payload))
        elif not flags & _ACK:
            self._answer(kind, payload)

    def _take_part(
        self, kind: int, call: Open, payload: bytes, now: float, replies: list[Reply]
    ) -> None:
        if kind == HEADERS:
            call.status = status_of(payload) or call.status
        else:
            call.size += len(payload)

    def _end(self, stream: int, now: float, replies: list[Reply]) -> None:
        call = self._open.pop(stream, None)
        if call is not None:
            replies.append(Reply(call.request, call.began, now, call.status, call.size))

    def _answer(self, kind: int, payload: bytes) -> None:
        if kind == _PING:
            self._out += frame(_PING, _ACK, 0, payload)
        elif kind == _SETTINGS:
            for name, value in struct.iter_unpack("!HI", payload):
                if name == _INITIAL_WINDOW:
                    self._first_room = value
            self._out += frame(_SETTINGS, _ACK, 0, b"")
            self._send_held()
        elif kind == _GOAWAY:
            raise ConnectionError("the server wants no more calls on this connection")

    def _widen(self, stream: int, more: int) -> None:
        if stream == 0:
            self._room += more
        elif stream in self._open:
            self._open[stream].credit += more
        self._send_held()

    def _send_held(self) -> None:
        while self._held:
            stream, view, last = self._held[0]
            call = self._open.get(stream)
            if call is None:
                self._held.popleft()
                continue
            room = min(self._room, self._first_room + call.credit, _MOST_FRAME)
            if room <= 0:
                return
            part, rest = view[:room], view[room:]
            ends = last and not rest
            self._out += frame(_DATA, _END_STREAM if ends else 0, stream, part)
            self._room -= len(part)
            call.credit -= len(part)
            if rest:
                self._held[0] = (stream, rest, last)
            else:
                self._held.popleft()


def grpc_headers(path: str, address: str, timeout: float | None = None) -> bytes:
    """The header block of a gRPC call, with a deadline so many seconds away if one is given."""
    more = {"content-type": "application/grpc", "te": "trailers"}
    if timeout is not None:
        more["grpc-timeout"] = f"{round(timeout * 1e3)}m"
    return post_block(path, address, more)


def json_headers(path: str, address: str, length: int) -> bytes:
    """The header block of a POST of JSON."""
    more = {"content-type": "application/json", "content-length": str(length)}
    return post_block(path, address, more)


def message(body: bytes) -> bytes:
    """A gRPC message as it goes over the wire."""
    return struct.pack("!xI", len(body)) + body


def frame(kind: int, flags: int, stream: int, payload: bytes | memoryview = b"") -> bytes:
    """One frame."""
    size = len(payload)
    return struct.pack("!BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload
