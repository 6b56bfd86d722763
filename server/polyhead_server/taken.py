"""Whether a caller has taken what was sent to it, as far as the system knows."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import sys
import termios
from pathlib import Path
from urllib.parse import unquote

from polyhead_server.hosts import bare, unmapped

_FILES = Path("/proc/self/fd")
_LOOK_SECONDS = 0.01
_QUIET_SECONDS = 0.05
"""A client that reads an answer says so more often than that."""
_LAST_RECEIVED = struct.Struct("@B51xI")
"""In the system's tcp_info: the state, and milliseconds since something was received."""
_OPEN = frozenset({1, 8})
"""States of a connection that can send: ESTABLISHED and CLOSE_WAIT."""

End = tuple[str, int]
"""Host and port of a connection's other end."""


class Connections:
    """This process's connections, found by their other ends.

    The system has to be asked about each open file, which takes 18 us: too long for an event loop
    that has thousands, and for each of thousands of calls. So one look, in a thread, is for all.
    """

    def __init__(self) -> None:
        self._files: dict[End, int] = {}
        self._looking = asyncio.Lock()

    async def taken(self, peer: str) -> None:
        """Wait until all that was written to a connection has arrived, and its other end is quiet.

        Returns at once where the connection is closed, is none of TCP's, or the system is not
        Linux.

        Args:
            peer: its other end as gRPC names it, such as ipv4:10.0.0.7:40112.
        """
        wanted = _named(peer) if sys.platform == "linux" else None
        connection = await self._find(wanted) if wanted is not None else None
        if connection is None:
            return
        with connection:
            while _busy(connection):  # noqa: ASYNC110 - the system has no event for it
                await asyncio.sleep(_LOOK_SECONDS)

    async def _find(self, wanted: End) -> socket.socket | None:
        """A handle of our own on the connection with that other end."""
        if found := self._known(wanted):
            return found
        async with self._looking:
            if found := self._known(wanted):  # by the look of another
                return found
            self._files = await asyncio.to_thread(_look)
            return self._known(wanted)

    def _known(self, wanted: End) -> socket.socket | None:
        """The same where the last look saw it, and its file was not closed since."""
        file = self._files.get(wanted)
        found = _open(file) if file is not None else None
        if found is not None and _other_end(found) != wanted:
            found.close()
            return None
        return found


def _look() -> dict[End, int]:
    """The other ends of all connections, and the files that they are."""
    ends = {}
    for file in _FILES.iterdir():
        number = int(file.name)
        if (connection := _open(number)) is not None:
            with connection:
                if (end := _other_end(connection)) is not None:
                    ends[end] = number
    return ends


def _named(peer: str) -> End | None:
    """A connection's other end, of what gRPC calls it."""
    kind, _, address = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return None
    host, _, port = address.rpartition(":")
    return unmapped(bare(host)), int(port)


def _open(number: int) -> socket.socket | None:
    """A handle of our own on an open file, if it is a socket."""
    try:
        own = os.dup(number)
    except OSError:  # closed meanwhile
        return None
    try:
        return socket.socket(fileno=own)
    except OSError:
        os.close(own)
        return None


def _other_end(connection: socket.socket) -> End | None:
    if connection.type != socket.SOCK_STREAM or connection.family not in (
        socket.AF_INET,
        socket.AF_INET6,
    ):
        return None
    try:
        host, port, *_ = connection.getpeername()
    except OSError:  # it listens, or is closed
        return None
    return unmapped(host), port


def _busy(connection: socket.socket) -> bool:
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_RECEIVED.size)
        state, received = _LAST_RECEIVED.unpack(info)
        unsent = fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4))
    except OSError:
        return False
    if state not in _OPEN:
        return False
    return any(unsent) or received < _QUIET_SECONDS * 1000
