"""TLS for both ports. A certificate that is replaced on disk holds for new connections."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from polyhead_server.errors import StartError
from polyhead_server.hosts import joined
from polyhead_server.security.pems import load_pems
from polyhead_server.security.watched import Watched, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_server.settings import Settings


@dataclass(frozen=True, slots=True)
class Files:
    """Where certificate, key and the authorities of client certificates are, all PEM."""

    cert: Path
    key: Path
    client_ca: Path | None

    def present(self) -> tuple[Path, ...]:
        """Those there are."""
        return (self.cert, self.key, *([] if self.client_ca is None else [self.client_ca]))


def tls_files(settings: Settings) -> Files | None:
    """The files that settings name; None where TLS is not asked for."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Files(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


def bind(server: grpc.aio.Server, host: str, port: int, settings: Settings) -> str:
    """Bind a server of gRPC, with TLS where settings ask for it; the address that it has.

    Args:
        server: the server.
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        settings: name the files for TLS.

    Raises:
        StartError: the address cannot be had, or the files cannot be used.
    """
    wanted = joined(host, port)
    credentials = _credentials(settings)
    try:
        if credentials is None:
            bound = server.add_insecure_port(wanted)
        else:
            bound = server.add_secure_port(wanted, credentials)
    except RuntimeError:
        raise StartError(
            f"cannot listen on {wanted}: the port is in use or the address is not ours"
        ) from None
    return joined(host, bound)


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Credentials for gRPC, which follow their files; None where TLS is not asked for.

    Raises:
        StartError: the files cannot be used.
    """
    files = tls_files(settings)
    if files is None:
        return None
    watched = Watched(files.present(), lambda: _configuration(files))
    given = watched.get()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC at each handshake; nothing stands for no change."""
        nonlocal given
        found = watched.get()
        if found is given:
            return None
        given = found
        return found

    return grpc.dynamic_ssl_server_credentials(
        given,
        changed,  # type: ignore[arg-type] # nothing is allowed, though the types do not say so
        require_client_authentication=files.client_ca is not None,
    )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The same for HTTP: each handshake is led to the newest context.

    Raises:
        StartError: the files cannot be used.
    """
    files = tls_files(settings)
    if files is None:
        return None
    watched = Watched(files.present(), lambda: _context(files))

    def newest(connection: Any, _: str | None, __: ssl.SSLContext) -> None:
        connection.context = watched.get()

    context = _context(files)
    context.sni_callback = newest
    return context


def _configuration(files: Files) -> grpc.ServerCertificateConfiguration:
    _context(files)  # gRPC itself would say at the next handshake only that something is wrong
    pair = (read_bytes(files.key), read_bytes(files.cert))
    authorities = None if files.client_ca is None else read_bytes(files.client_ca)
    return grpc.ssl_server_certificate_configuration([pair], authorities)


def _context(files: Files) -> ssl.SSLContext:
    """A context made of the files.

    Raises:
        StartError: they cannot be read, or certificate and key are not each other's.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # A session that is taken up again would outlive the authority that its client was let in by.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if files.client_ca is not None:
        # OpenSSL itself keeps sessions of TLS 1.2, tickets or not, and Python cannot forbid it.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
    load_pems(context, files.cert, files.key, files.client_ca)
    return context
