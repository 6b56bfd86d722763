"""Who may call: TLS, client certificates and bearer tokens from files."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import grpc

from polyhead_server.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_server.settings import Settings


def tls_credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """Server credentials; None where TLS is not asked for.

    Raises:
        StartError: a file cannot be read.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    pair = (_read(settings.tls_key), _read(settings.tls_cert))
    authorities = None if settings.tls_client_ca is None else _read(settings.tls_client_ca)
    return grpc.ssl_server_credentials(
        [pair], root_certificates=authorities, require_client_auth=authorities is not None
    )


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """The same for HTTP; None where TLS is not asked for.

    Raises:
        StartError: a file cannot be read or is no certificate or key.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
        if settings.tls_client_ca is not None:
            context.load_verify_locations(settings.tls_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise StartError(f"cannot use the TLS files: {error.strerror or error}") from None
    return context


def bearer_tokens(file: Path | None) -> frozenset[str] | None:
    """The tokens that are let in; None where everybody is.

    Raises:
        StartError: the file cannot be read or holds no token.
    """
    if file is None:
        return None
    lines = _read(file).decode("utf-8", "replace").splitlines()
    tokens = frozenset(line.strip() for line in lines if line.strip())
    if not tokens:
        raise StartError(f"{file} holds no token")
    return tokens


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {file}: {error.strerror}") from None
