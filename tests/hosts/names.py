"""A name server of one name, whose addresses change as hosts come and go."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hosts.network import Host

NAME = "polyhead.test"
_HEADER = struct.Struct("!6H")
_TAIL = struct.Struct("!2H")
_RECORD = struct.Struct("!3HIH")
_A = 1
_INTERNET = 1
_TTL_SECONDS = 1
_LOOK_SECONDS = 0.2
_AUTHORITATIVE = 0x8580
_UNKNOWN = 0x8583
_POINTER_TO_QUESTION = 0xC00C


class Names:
    """What the name stands for; may be changed at any time."""

    def __init__(self) -> None:
        self.addresses: tuple[str, ...] = ()

    def answer(self, query: bytes) -> bytes:
        """The answer to one query: the addresses for A, none for other types, or no such name."""
        number = _HEADER.unpack_from(query)[0]
        name, end = _question(query)
        kind, _ = _TAIL.unpack_from(query, end)
        known = name == NAME
        found = self.addresses if known and kind == _A else ()
        flags = _AUTHORITATIVE if known else _UNKNOWN
        record = _RECORD.pack(_POINTER_TO_QUESTION, _A, _INTERNET, _TTL_SECONDS, 4)
        records = b"".join(record + ip_address(one).packed for one in found)
        header = _HEADER.pack(number, flags, 1, len(found), 0, 0)
        return header + query[_HEADER.size : end + _TAIL.size] + records


@contextlib.contextmanager
def serving_names(host: Host) -> Iterator[Names]:
    """Answer on a host until the block ends."""
    names = Names()
    stop = threading.Event()
    port = host.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with port:
        port.settimeout(_LOOK_SECONDS)
        port.bind((host.address, 53))
        server = threading.Thread(target=_serve, args=(port, names, stop))
        server.start()
        try:
            yield names
        finally:
            stop.set()
            server.join()


def _serve(port: socket.socket, names: Names, stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            query, asker = port.recvfrom(512)
            port.sendto(names.answer(query), asker)


def _question(query: bytes) -> tuple[str, int]:
    """The name that is asked for, and where what follows it begins."""
    labels = []
    at = _HEADER.size
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return ".".join(labels), at + 1
