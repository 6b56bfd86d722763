"""Who calls, for the log: what the caller proved to be, else where the call came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PORT = re.compile(r":\d+$")
_NAMES = ("peer_uri", "x509_common_name", "x509_subject_alternative_name")
"""What of a certificate names its holder, the most particular first, as gRPC calls it."""


class Origin(Protocol):
    """What a wire knows of its other end; a gRPC context has it, and so has an HTTP request's."""

    def peer(self) -> str:
        """Address, such as ipv4:10.0.0.7:40112."""
        ...

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """What the other end proved to be, as gRPC names it; empty without a client certificate."""
        ...


def name_in(certificate: Mapping[str, Any]) -> str:
    """Whom a certificate names, which ssl has parsed; by the same rule as over gRPC."""
    others = tuple(certificate.get("subjectAltName", ()))
    subject = [part for parts in certificate.get("subject", ()) for part in parts]
    uris = [name for kind, name in others if kind == "URI"]
    common = [name for kind, name in subject if kind == "commonName"]
    return str(next(iter((*uris, *common, *(name for _, name in others))), ""))


def caller_of(origin: Origin) -> str:
    """A name for a caller who has no token.

    Args:
        origin: where the call came from.

    Returns:
        cert:NAME by the client certificate: its first URI, else its common name, else its first
        alternative name; without one the address, without its port; "unknown" where the call was
        over before anybody asked.
    """
    proved = origin.auth_context()
    for kind in _NAMES:
        for name in proved.get(kind, ()):
            return f"cert:{name.decode('utf-8', 'replace')}"
    kind, _, address = unquote(origin.peer()).partition(":")
    if not kind:
        return "unknown"
    return _PORT.sub("", address) if kind in ("ipv4", "ipv6") else f"{kind}:{address}"
