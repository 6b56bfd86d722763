"""Hosts and ports as one text: addresses of IPv6 stand in brackets, which callers may leave out."""

from __future__ import annotations


def bare(host: str) -> str:
    """A host without brackets, as sockets take it."""
    return host.strip("[]")


def joined(host: str, port: int) -> str:
    """A host and a port, as gRPC and URLs take them."""
    name = bare(host)
    return f"[{name}]:{port}" if ":" in name and not name.startswith("unix:") else f"{name}:{port}"
