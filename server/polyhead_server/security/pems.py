"""Certificates, keys and authorities in PEM files, as OpenSSL takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_server.errors import StartError

if TYPE_CHECKING:
    import ssl
    from pathlib import Path


def load_pems(
    context: ssl.SSLContext, cert: Path | None, key: Path | None, authorities: Path | None
) -> None:
    """Load the files there are into a context.

    Raises:
        StartError: they cannot be read, or certificate and key are not each other's.
    """
    try:
        if cert is not None:
            context.load_cert_chain(cert, key, password=_no_password)
        if authorities is not None:
            context.load_verify_locations(authorities)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise StartError(f"cannot use the TLS files: {reason}") from None


def _no_password() -> str:
    """Keys are not encrypted; without this, OpenSSL would ask at the terminal."""
    raise ValueError("the key has a password")
