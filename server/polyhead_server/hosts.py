"""Hosts and ports as one text: addresses of IPv6 stand in brackets, which callers may leave out."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def bare(host: str) -> str:
    """A host without brackets, as sockets take it."""
    return host.strip("[]")


def unmapped(address: str) -> str:
    """An address in one spelling: one of version 4 is one, whichever socket it came through."""
    found = ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def joined(host: str, port: int) -> str:
    """A host and a port, as gRPC and URLs take them."""
    name = bare(host)
    return f"[{name}]:{port}" if ":" in name and not name.startswith("unix:") else f"{name}:{port}"
