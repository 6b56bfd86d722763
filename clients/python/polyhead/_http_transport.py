"""HTTP/1.1 over kept connections, with deadlines. Knows no messages."""

from __future__ import annotations

import contextlib
import http.client
import math
import re
import socket
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from polyhead._steps import Deadline

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

_CHUNK = 256 * 1024
_MOST_BYTES = 512 * 2**20
_NOT_IN_PATH = re.compile(r"[^!-~]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t -~\xa0-\xff]*")
_GONE = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class TransportError(Exception):
    """There is no answer.

    Attributes:
        in_time: False where the time ran out.
    """

    def __init__(self, message: str, *, in_time: bool = True) -> None:
        super().__init__(message)
        self.in_time = in_time


@dataclass(frozen=True, slots=True)
class Place:
    """Where to connect.

    Attributes:
        host: Name or address.
        port: The port; None: that of the scheme.
        path: What goes before every path; empty, or with a slash before and none behind.
        secure: Whether to use TLS.
    """

    host: str
    port: int | None
    path: str
    secure: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: headers by their names in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


def parse_url(url: str) -> Place:
    """Take a URL apart.

    Raises:
        ValueError: It is none of http or https with a host, or holds more than a path.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http:// or https:// URL: {url!r}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("a URL is a scheme, a host, a port and a path, no more")
    if not _is_name(parts.hostname) or _NOT_IN_PATH.search(parts.path):
        raise ValueError(f"a URL has no spaces, control characters or other such: {url!r}")
    return Place(parts.hostname, parts.port, parts.path.rstrip("/"), parts.scheme == "https")


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Give the headers of every call.

    Raises:
        ValueError: A name or a value is what HTTP cannot carry. No value is told: it may be a key.
    """
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"not the name of a header: {name!r}")
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} is not one line of Latin-1 text")
    return dict(headers)


class Transport:
    """Sends requests over connections that are kept for the next. Safe between threads.

    Args:
        place: Where to.
        context: For https.
    """

    def __init__(self, place: Place, context: ssl.SSLContext | None) -> None:
        self._place = place
        self._context = context
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._busy: set[http.client.HTTPConnection] = set()
        self._children: weakref.WeakSet[Transport] = weakref.WeakSet()
        self._closed = False

    def child(self) -> Transport:
        """Make one to the same place that can be closed on its own, and is closed with this."""
        child = Transport(self._place, self._context)
        self._children.add(child)
        return child

    def exchange(
        self, verb: str, path: str, body: bytes | None, headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """Send a request and read the whole answer; infinity seconds for no deadline.

        A kept connection that the other side has closed meanwhile is replaced once.

        Raises:
            TransportError: There is none.
        """
        deadline = Deadline(seconds)
        connection, kept = self._take()
        try:
            try:
                answer = self._ask(connection, verb, path, body, headers, deadline)
            except _GONE:
                if not kept or self._closed:
                    raise
                connection.close()
                answer = self._ask(connection, verb, path, body, headers, deadline)
        except TimeoutError as error:
            self._drop(connection)
            raise TransportError("no answer in time", in_time=False) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._drop(connection)
            raise TransportError(_in_words(error)) from error
        except BaseException:
            self._drop(connection)
            raise
        self._keep(connection)
        return answer

    def close(self) -> None:
        """Close every connection; requests on their way fail."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
        for connection in idle:
            connection.close()
        for connection in busy:
            _cut(connection)
        for child in list(self._children):
            child.close()

    def _ask(
        self,
        connection: http.client.HTTPConnection,
        verb: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        deadline: Deadline,
    ) -> Answer:
        link = _open(connection, deadline)
        connection.request(verb, self._place.path + path, body, dict(headers))
        link.settimeout(_patience(deadline))
        response = connection.getresponse()
        with contextlib.closing(response):
            content = _read(response, link, deadline)
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, response.reason, names, content)

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._closed:
                raise TransportError("the client is closed")
            kept = bool(self._idle)
            connection = self._idle.pop() if kept else self._new()
            self._busy.add(connection)
        return connection, kept

    def _new(self) -> http.client.HTTPConnection:
        place = self._place
        if self._context is not None:
            return http.client.HTTPSConnection(place.host, place.port, context=self._context)
        return http.client.HTTPConnection(place.host, place.port)

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._busy.discard(connection)
            keep = not self._closed and connection.sock is not None
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()


def _is_name(host: str) -> bool:
    """Whether a host can be looked up, and stand in a request."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return not any(character <= " " or character == "\x7f" for character in host)


def _in_words(error: Exception) -> str:
    """Say why there is no answer, without what a server of another protocol has sent."""
    gone = isinstance(error, http.client.RemoteDisconnected)
    if isinstance(error, http.client.BadStatusLine | http.client.UnknownProtocol) and not gone:
        return "what answered does not speak HTTP"
    return str(error) or type(error).__name__


def _patience(deadline: Deadline) -> float | None:
    """Give the seconds that a socket may still wait; raises TimeoutError where there are none."""
    remaining = deadline.remaining()
    if remaining <= 0:
        raise TimeoutError
    return None if math.isinf(remaining) else remaining


def _open(connection: http.client.HTTPConnection, deadline: Deadline) -> socket.socket:
    """Connect, if it is not, and give the socket."""
    connection.timeout = _patience(deadline)
    link: socket.socket | None = connection.sock
    if link is None:
        connection.connect()
        link = connection.sock
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.settimeout(_patience(deadline))
    return link


def _read(response: http.client.HTTPResponse, link: socket.socket, deadline: Deadline) -> bytes:
    pieces, size = [], 0
    while True:
        link.settimeout(_patience(deadline))
        piece = response.read1(_CHUNK)
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            raise http.client.HTTPException(f"the answer is larger than {_MOST_BYTES} bytes")
    if response.length:
        raise http.client.HTTPException("the answer ended early")
    return b"".join(pieces)


def _cut(connection: http.client.HTTPConnection) -> None:
    """Wake whoever waits on a connection; closing alone would not."""
    link = connection.sock
    if link is not None:
        try:
            link.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has ended by itself
            return
