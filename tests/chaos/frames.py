"""HTTP/2 by hand, as far as callers with bad manners need it."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

from tests.bench.wire import frame, grpc_headers, message

if TYPE_CHECKING:
    from collections.abc import Iterable

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
_INITIAL_WINDOW = 4
PATH = "/polyhead.v1.AnnotationService/Annotate"
_CANCEL = struct.pack("!I", 8)


def settings(window: int | None = None) -> bytes:
    """A SETTINGS frame, with the window that streams begin with where one is given."""
    pairs = b"" if window is None else struct.pack("!HI", _INITIAL_WINDOW, window)
    return frame(SETTINGS, 0, 0, pairs)


def call(address: str, stream: int, body: bytes) -> bytes:
    """The frames of a whole call of one small message."""
    block = grpc_headers(PATH, address)
    return frame(HEADERS, END_HEADERS, stream, block) + frame(
        DATA, END_STREAM, stream, message(body)
    )


def reset(stream: int) -> bytes:
    """A RST_STREAM frame."""
    return frame(RESET, 0, stream, _CANCEL)


def connect(place: tuple[str, int], first: bytes = b"") -> socket.socket:
    """A connection on which so many bytes were sent."""
    sock = socket.create_connection(place, timeout=10)
    if first:
        sock.sendall(first)
    return sock


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close connections, whatever state they are in."""
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.close()
