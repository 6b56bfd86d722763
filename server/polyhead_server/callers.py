"""Who calls, for the log: what the caller proved to be, else where the call came from."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PORT = re.compile(r":\d+$")
_SHOWN_DIGITS = 8
_COMMON_NAME = "x509_common_name"


class Origin(Protocol):
    """What a wire knows of its other end; a gRPC context has it, and so has an HTTP request's."""

    def peer(self) -> str:
        """Address, such as ipv4:10.0.0.7:40112."""
        ...

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """What the other end proved to be, as gRPC names it; empty without a client certificate."""
        ...


def caller_of(origin: Origin, token: str | None) -> str:
    """A name for the log.

    Args:
        origin: where the call came from.
        token: the bearer token that let it in; None where none was asked for.

    Returns:
        cert:NAME by the common name of a client certificate; else token:DIGEST, the beginning of
        the token's SHA-256; else the address without its port.
    """
    for name in origin.auth_context().get(_COMMON_NAME, ()):
        return f"cert:{name.decode('utf-8', 'replace')}"
    if token:
        return f"token:{hashlib.sha256(token.encode()).hexdigest()[:_SHOWN_DIGITS]}"
    kind, _, address = unquote(origin.peer()).partition(":")
    return _PORT.sub("", address) if kind in ("ipv4", "ipv6") else f"{kind}:{address}"
