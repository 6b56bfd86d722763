"""What gRPC is told of connections, the same for every port of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyhead_server.settings import Settings


def grpc_options(settings: Settings, *, shared: bool = False) -> list[tuple[str, int]]:
    """Bounds on messages and connections, keepalive, and time for a handshake.

    Args:
        settings: the server's.
        shared: let other processes of this user listen on the port, too.
    """
    options: list[tuple[str, int]] = [
        ("grpc.so_reuseport", int(shared)),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        ("grpc.server_handshake_timeout_ms", 20_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    if settings.max_connections:
        options.append(("grpc.max_allowed_incoming_connections", settings.max_connections))
    if settings.max_connection_age > 0:
        age = int(settings.max_connection_age * 1000)
        grace = int(settings.default_deadline * 1000)
        options += [
            ("grpc.max_connection_age_ms", age),
            ("grpc.max_connection_age_grace_ms", grace),
        ]
    return options
