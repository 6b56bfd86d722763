"""Signatures of bundles: Ed25519 over the manifest, which holds the digest of every other file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from polyhead_server.bundle import MANIFEST, SIGNATURE, identity_of, open_bundle, put_file
from polyhead_server.errors import BundleError
from polyhead_server.extras import needs_extra

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from polyhead_server.bundle import Bundle


def sign_bundle(path: Path, key: Path) -> Path:
    """Sign a bundle whose files are as its manifest says; the file with the signature.

    Args:
        path: the bundle.
        key: PEM file with an Ed25519 private key, without a password.

    Raises:
        BundleError: the bundle is damaged, or no file can be written there.
        StartError: the key cannot be used, or the package for it is not installed.
    """
    keys = _keys()
    open_bundle(path)
    try:
        put_file(path / SIGNATURE, keys.sign((path / MANIFEST).read_bytes(), key))
    except OSError as error:
        raise BundleError(f"{path}: cannot be signed: {error.strerror}") from None
    return path / SIGNATURE


def ensure_signed(bundle: Bundle, key: Path) -> None:
    """Check that a bundle's manifest, the very one that was read, was signed with a key.

    Args:
        bundle: the bundle.
        key: PEM file with the Ed25519 public key.

    Raises:
        BundleError: it is not signed, or by somebody else, or was changed since.
        StartError: the key cannot be used, or the package for it is not installed.
    """
    keys = _keys()
    path = bundle.path
    try:
        signature = (path / SIGNATURE).read_bytes()
        manifest = (path / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise BundleError(f"{path}: not signed: it has no {SIGNATURE}") from None
    except OSError as error:
        raise BundleError(f"{path}: {SIGNATURE} cannot be read: {error.strerror}") from None
    if not keys.is_signed(manifest, signature, key):
        raise BundleError(f"{path}: wrongly signed: {SIGNATURE} is not by the key in {key}")
    if identity_of(json.loads(manifest)) != bundle.identity:
        raise BundleError(f"{path}: it was changed while it was read")


def _keys() -> ModuleType:
    with needs_extra("signing", "signatures need"):
        from polyhead_server.security import keys  # noqa: PLC0415 - an extra
    return keys
