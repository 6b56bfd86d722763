"""A port that several processes will listen on, and nobody else."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

from polyhead_server.errors import StartError
from polyhead_server.hosts import bare, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERY = ("0.0.0.0", "::", "")  # noqa: S104 - what a setting may say, not a default


@contextlib.contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """Hold a port for processes of ours, which share it by SO_REUSEPORT.

    Sharing would let a second server take part of the first one's connections without a word. So
    the port is bound for one alone first, which fails where anybody has it, and opened to our
    user's processes after that. It is never listened on here: no connection comes to this socket,
    but the port stays ours while all workers are down.

    Args:
        host: address to listen on.
        port: port to listen on; 0 for any free one.

    Yields:
        The port.

    Raises:
        StartError: the address cannot be had.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise StartError("several workers need a system where processes can share a port")
    with contextlib.ExitStack() as held:
        try:
            for family, address in _addresses(host):
                sock = held.enter_context(socket.socket(family))
                port = _bind(sock, address, port)
        except OSError:
            place = joined(host, port)
            raise StartError(
                f"cannot listen on {place}: the port is in use or the address is not ours"
            ) from None
        yield port


def share(sock: socket.socket) -> None:
    """Let a socket that is not bound yet share its port with others of this user."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """Families and addresses of a host, each once."""
    name = bare(host)
    if name in _EVERY:
        # One socket for both families, as gRPC has it, or IPv4 alone.
        every = [(socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")]  # noqa: S104
        return every[:1] if socket.has_dualstack_ipv6() else every[1:]
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((entry[0], str(entry[4][0])) for entry in found))


def _bind(sock: socket.socket, address: str, port: int) -> int:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != "::"))
    # Connections of a server that has just ended do not count as having the port.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    share(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return int(sock.getsockname()[1])
