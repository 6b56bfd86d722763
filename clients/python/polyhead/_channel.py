"""Where to connect and how: targets, channel arguments, credentials."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import Any

import grpc

from polyhead._options import TLS, BearerToken, ChannelOptions

_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
_ADDRESS = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]]+)):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Connection:
    """All that grpc needs to open a channel, sync or async."""

    target: str
    options: tuple[tuple[str, Any], ...]
    credentials: grpc.ChannelCredentials | None


def connection(target: str, tls: TLS | None, channel: ChannelOptions) -> Connection:
    """Put a channel's arguments together.

    Raises:
        ValueError: The target cannot be understood.
    """
    resolved = parse_target(target)
    return Connection(resolved, _options(resolved, tls, channel), _credentials(tls))


def parse_target(target: str) -> str:
    """Turn a list of addresses into a target that grpc balances over; leave the rest to grpc.

    Args:
        target: `HOST:PORT`, a comma list of `IP:PORT`, or any grpc target such as
            `dns:///NAME:PORT` or `unix:PATH`.

    Raises:
        ValueError: The target is empty, lacks its port, or lists what is not an address.
    """
    if ":/" in target or target.startswith(("unix:", "dns:", "ipv4:", "ipv6:", "xds:")):
        return target
    parts = [part.strip() for part in target.split(",")]
    pieces = [_ADDRESS.fullmatch(part) for part in parts]
    for part, piece in zip(parts, pieces, strict=True):
        if piece is None or int(piece["port"]) > 65535:  # noqa: PLR2004 - the largest port
            raise ValueError(f"not a HOST:PORT address: {part!r}")
    if len(parts) == 1:
        return parts[0]
    return _list_target([(p["six"] or p["host"], p["port"]) for p in pieces if p is not None])


def _list_target(addresses: list[tuple[str, str]]) -> str:
    literals = [(_literal(host), port) for host, port in addresses]
    versions = {address.version for address, _ in literals}
    if len(versions) > 1:
        raise ValueError("a list of addresses is all IPv4 or all IPv6")
    if versions == {4}:
        return "ipv4:" + ",".join(f"{address}:{port}" for address, port in literals)
    return "ipv6:" + ",".join(f"[{address}]:{port}" for address, port in literals)


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ValueError(
            f"a list of addresses takes IP addresses, not the name {host!r}; "
            "to balance over all addresses of one name use dns:///NAME:PORT"
        ) from None


def _options(target: str, tls: TLS | None, channel: ChannelOptions) -> tuple[tuple[str, Any], ...]:
    options: list[tuple[str, Any]] = [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.max_send_message_length", channel.max_send_bytes),
        ("grpc.max_receive_message_length", channel.max_receive_bytes),
        ("grpc.keepalive_time_ms", int(channel.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", int(channel.keepalive_timeout_seconds * 1000)),
        ("grpc.keepalive_permit_without_calls", 0),
        # grpc's own waits between attempts to connect, 1 to 120 seconds, would outlast our retries.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # New addresses of a name, asked for when a connection ends; grpc's own bound is 30 seconds.
        ("grpc.dns_min_time_between_resolutions_ms", 2000),
        ("grpc.primary_user_agent", "polyhead-python"),
    ]
    if _is_local(target):
        options.append(("grpc.enable_http_proxy", 0))
    if tls is not None and tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return tuple(options)


def _is_local(target: str) -> bool:
    host = re.sub(r"^(ipv4:|ipv6:|dns:/*)", "", target)
    return host.startswith(("localhost:", "127.", "[::1]:", "unix:"))


def _credentials(tls: TLS | None) -> grpc.ChannelCredentials | None:
    if tls is None:
        return None
    return grpc.ssl_channel_credentials(tls.ca, tls.key, tls.certificate)


def token_metadata(token: str | BearerToken | None, tls: TLS | None) -> tuple[tuple[str, str], ...]:
    """Give the metadata that carries the token.

    Raises:
        ValueError: The token would travel in the clear, and that was not allowed.
    """
    if token is None:
        return ()
    bearer = BearerToken(token) if isinstance(token, str) else token
    if tls is None and not bearer.allow_insecure:
        raise ValueError(
            "a token needs TLS: pass tls=TLS(...), or, where the network is trusted, "
            "token=BearerToken(value, allow_insecure=True)"
        )
    return (("authorization", f"Bearer {bearer.value}"),)
