"""Header blocks of HTTP/2 without tables: a few are written, and the status is read from others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OK = "0"
"""Status of a call that went well: gRPC's; the HTTP status 200 is told as this too."""

_METHOD_POST, _SCHEME_HTTP, _STATUS_200 = 0x83, 0x86, 0x88
"""Indices of HPACK's static table, as they go over the wire."""
_OTHER_STATUSES = (*range(0x89, 0x8F), 0x08, 0x18, 0x48)
_TABLE_OFF = 0x20
_MOST_LENGTH = 126
"""Longer texts have a longer length, which nothing here needs."""


def post_block(path: str, address: str, more: Mapping[str, str]) -> bytes:
    """The header block of a POST.

    Raises:
        ValueError: a name or a value is too long.
    """
    names = {":path": path, ":authority": address, **more}
    return bytes((_METHOD_POST, _SCHEME_HTTP)) + b"".join(
        b"\x00" + _text(name) + _text(value) for name, value in names.items()
    )


def _text(value: str) -> bytes:
    if len(value) > _MOST_LENGTH:
        raise ValueError(f"{value} is too long")
    return bytes((len(value),)) + value.encode()


def status_of(block: bytes) -> str:
    """The call's status that a header block tells; empty where it tells none."""
    at = block.find(b"grpc-status")
    if at >= 0:
        at += len(b"grpc-status")
        return block[at + 1 : at + 1 + (block[at] & 0x7F)].decode()
    first = block[1] if block[0] == _TABLE_OFF and len(block) > 1 else block[0]
    if first == _STATUS_200:
        return "" if b"application/grpc" in block else OK
    return f"HTTP, {first:#x}" if first in _OTHER_STATUSES else ""
