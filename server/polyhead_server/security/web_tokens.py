"""JSON Web Tokens: signed by whoever has a private key whose public one is in a file."""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from polyhead_server.errors import PermissionDeniedError, StartError
from polyhead_server.security.watched import Watched, read_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_MOST_KEYS = 64
_MOST_KNOWN = 4_096
"""Tokens whose signature is not checked again: it costs more than a short text."""
_MOST_NAME = 128
_KINDS = {"RSA": ("RS", "PS"), "EC": ("ES",), "OKP": ("EdDSA",)}
"""Beginnings of the algorithms for a kind of key. Secrets that are shared are no keys here."""
_NOT_A_TOKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a token must say."""

    algorithms: tuple[str, ...]
    issuer: str | None = None
    audience: str | None = None
    scope: str | None = None
    """One of the words in its scope (or scp)."""
    leeway: float = 0.0
    """Seconds by which clocks may differ."""


@dataclass(frozen=True, slots=True)
class _Key:
    id: str | None
    kind: str
    key: Any

    def fits(self, header: Mapping[str, Any]) -> bool:
        """Whether it may be what a token was signed with: by kind always, by name where it has."""
        named = header.get("kid")
        return str(header.get("alg")).startswith(_KINDS[self.kind]) and (
            named is None or self.id is None or self.id == named
        )


@dataclass(frozen=True, slots=True)
class _Found:
    client: str
    expires: float
    in_scope: bool


class WebTokens:
    """Checks tokens by the keys of a file, which may be replaced while the server runs.

    Args:
        file: a JSON Web Key Set, or one public key or certificate as PEM.
        terms: what a token must say.

    Raises:
        StartError: the file cannot be read or holds no public key.
    """

    def __init__(self, file: Path, terms: Terms) -> None:
        self._terms = terms
        self._keys = Watched((file,), lambda: read_keys(file))
        self._known_by: Sequence[_Key] = ()
        self._known: OrderedDict[bytes, _Found] = OrderedDict()

    def client_of(self, token: str) -> str | None:
        """Whose token it is, by its subject; None where it is not let in.

        Raises:
            PermissionDeniedError: it is sound, and lacks the scope.
        """
        found = self._find(token)
        if found is None or time.time() >= found.expires:
            return None
        if not found.in_scope:
            raise PermissionDeniedError(f"the token lacks the scope {self._terms.scope}")
        return found.client

    def _find(self, token: str) -> _Found | None:
        keys = self._keys.get()
        if keys is not self._known_by:
            self._known.clear()
            self._known_by = keys
        digest = hashlib.sha256(token.encode()).digest()
        found = self._known.get(digest) or self._check(token, keys)
        if found is not None:
            self._known[digest] = found
            self._known.move_to_end(digest)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return found

    def _check(self, token: str, keys: Sequence[_Key]) -> _Found | None:
        try:
            header = jwt.get_unverified_header(token)
        except _NOT_A_TOKEN:
            return None
        if header.get("alg") not in self._terms.algorithms:
            return None
        for key in keys:
            if key.fits(header) and (found := self._verify(token, header["alg"], key)):
                return found
        return None

    def _verify(self, token: str, algorithm: str, key: _Key) -> _Found | None:
        terms = self._terms
        try:
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=terms.audience,
                issuer=terms.issuer,
                leeway=terms.leeway,
                options={"require": ["exp", "sub"], "verify_aud": terms.audience is not None},
            )
            expires = float(claims["exp"]) + terms.leeway
        except _NOT_A_TOKEN:
            return None
        client = f"jwt:{claims['sub'][:_MOST_NAME]}"
        return _Found(client, expires, terms.scope is None or terms.scope in _scopes(claims))


def read_keys(file: Path) -> tuple[_Key, ...]:
    """The public keys of a file.

    Raises:
        StartError: it cannot be read, or holds none, or something else.
    """
    content = read_bytes(file)
    try:
        keys = (
            _from_set(content, file) if content.lstrip().startswith(b"{") else (_from_pem(content),)
        )
    except (*_NOT_A_TOKEN, KeyError, AttributeError):
        raise StartError(f"{file} is neither a JSON Web Key Set nor a public key as PEM") from None
    if not keys or len(keys) > _MOST_KEYS or any(key.kind not in _KINDS for key in keys):
        raise StartError(f"{file}: wanted 1 to {_MOST_KEYS} public keys, RSA, EC or Ed25519")
    return keys


def _from_set(content: bytes, file: Path) -> tuple[_Key, ...]:
    found = []
    for item in json.loads(content)["keys"]:
        if item.get("use", "sig") != "sig":
            continue
        if "d" in item:
            raise StartError(f"{file} holds a private key: wanted public keys only")
        kind = str(item["kty"])
        key = jwt.PyJWK.from_dict(item).key if kind in _KINDS else None
        found.append(_Key(item.get("kid"), kind, key))
    return tuple(found)


def _from_pem(content: bytes) -> _Key:
    if b"CERTIFICATE" in content:
        key: Any = load_pem_x509_certificate(content).public_key()
    else:
        key = load_pem_public_key(content)
    name = type(key).__name__
    kinds = {"RSA": "RSA", "Elliptic": "EC", "EC": "EC", "Ed25519": "OKP", "Ed448": "OKP"}
    kind = next((kind for start, kind in kinds.items() if name.startswith(start)), "")
    return _Key(None, kind, key)


def _scopes(claims: Mapping[str, Any]) -> Sequence[str]:
    """The words of scope, a text, or of scp, a text or a list."""
    given = claims.get("scope", claims.get("scp", ""))
    if isinstance(given, str):
        return given.split()
    return [item for item in given if isinstance(item, str)] if isinstance(given, list) else ()
