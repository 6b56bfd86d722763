"""Asking a server or a gateway whether it serves, over grpc.health.v1, as probes do."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path  # noqa: TC003 - part of a dataclass
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from polyhead_server.errors import StartError
from polyhead_server.gateway.settings import host_of, port_of
from polyhead_server.hosts import bare, joined
from polyhead_server.security.watched import read_bytes

if TYPE_CHECKING:
    from polyhead_server.gateway.settings import GatewaySettings
    from polyhead_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask, and how."""

    address: str
    """Host and port."""
    ca: Path | None = None
    """PEM file with the authorities of its certificate, or that certificate; turns TLS on."""
    cert: Path | None = None
    """PEM file with a certificate to show."""
    key: Path | None = None
    """PEM file with that certificate's private key."""
    name: str | None = None
    """Name that its certificate must hold; by default the host."""
    any_name: bool = False
    """Take whatever name the certificate holds: for our own, asked at its local address."""


def server_target(settings: Settings) -> Target:
    """The server that has these settings, on this machine."""
    return _ours(settings.host, settings.port, settings)


def gateway_target(settings: GatewaySettings) -> Target:
    """The gateway that has these settings, on this machine."""
    return _ours(host_of(settings.listen), port_of(settings.listen), settings)


def fault_of(target: Target, service: str, timeout: float) -> str | None:
    """Ask once.

    Args:
        target: whom.
        service: full name of a gRPC service; empty for the process as a whole.
        timeout: seconds that it may take in all.

    Returns:
        None where it serves, else what is wrong, in a few words.

    Raises:
        StartError: a certificate or key cannot be read.
    """
    try:
        with _channel(target, timeout) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service=service)
            status = stub.Check(request, timeout=timeout).status
    except (OSError, grpc.RpcError) as error:
        return f"{target.address}: {_words(error)}"
    if status == health_pb2.HealthCheckResponse.SERVING:
        return None
    return f"{target.address}: {health_pb2.HealthCheckResponse.ServingStatus.Name(status)}"


def _ours(host: str, port: int, settings: Settings | GatewaySettings) -> Target:
    """What listens there on this machine with these certificates, which it takes as a client's."""
    return Target(
        address=_local(host, port),
        ca=settings.tls_cert,
        cert=settings.tls_cert if settings.tls_client_ca else None,
        key=settings.tls_key if settings.tls_client_ca else None,
        any_name=True,
    )


def _channel(target: Target, timeout: float) -> grpc.Channel:
    options: list[tuple[str, int | str]] = [("grpc.enable_http_proxy", 0)]
    if target.ca is None:
        return grpc.insecure_channel(target.address, options)
    name = target.name
    if name is None and target.any_name:
        name = _name_shown(target, timeout)
    if name is not None:
        options.append(("grpc.ssl_target_name_override", name))
    credentials = grpc.ssl_channel_credentials(
        *(
            None if file is None else read_bytes(file)
            for file in (target.ca, target.key, target.cert)
        )
    )
    return grpc.secure_channel(target.address, credentials, options)


def _name_shown(target: Target, timeout: float) -> str | None:
    """A name in the certificate that the target shows, which must be one that we trust.

    Raises:
        OSError: it shows none that we trust, or does not answer.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2"])
    context.load_verify_locations(target.ca)
    if target.cert is not None:
        context.load_cert_chain(target.cert, target.key)
    place = (host_of(target.address), port_of(target.address))
    with (
        socket.create_connection(place, timeout) as plain,
        context.wrap_socket(plain) as secured,
    ):
        shown = secured.getpeercert() or {}
    names: Any = shown.get("subjectAltName", ())
    return next((str(name).replace("*", "any") for _, name in names), None)


def _local(host: str, port: int) -> str:
    """Where a process that listens there is to be asked from this machine.

    Raises:
        StartError: it takes any free port, which nobody else knows.
    """
    if port == 0:
        raise StartError("port 0 is any free one: say which by --address HOST:PORT")
    try:
        address = ip_address(bare(host))
    except ValueError:
        return joined(host, port)
    if address.is_unspecified:
        host = "127.0.0.1" if address.version == 4 else "::1"  # noqa: PLR2004 - IPv4
    return joined(host, port)


def _words(error: OSError | grpc.RpcError) -> str:
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}: {error.details()}"
    return error.strerror or str(error)
