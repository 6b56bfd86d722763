"""Ed25519 keys from PEM files, and what is done with them. Needs the extra `signing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from polyhead_server.errors import StartError
from polyhead_server.security.watched import read_bytes

if TYPE_CHECKING:
    from pathlib import Path


def sign(content: bytes, file: Path) -> bytes:
    """The signature of a content, 64 bytes, by the private key in a file.

    Raises:
        StartError: the file cannot be read, or holds no such key, or one with a password.
    """
    try:
        key = load_pem_private_key(read_bytes(file), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise StartError(f"{file}: wanted an Ed25519 private key as PEM, without a password")
    return key.sign(content)


def is_signed(content: bytes, signature: bytes, file: Path) -> bool:
    """Whether a signature of a content is by the public key in a file.

    Raises:
        StartError: the file cannot be read, or holds no such key.
    """
    try:
        key = load_pem_public_key(read_bytes(file))
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise StartError(f"{file}: wanted an Ed25519 public key as PEM")
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
