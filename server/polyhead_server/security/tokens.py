"""Bearer tokens from a file: on each line a token, with a name and a blank before it or without."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead_server.errors import StartError
from polyhead_server.security.watched import Watched, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_TOKEN = re.compile(r"[!-~]+")
_SHOWN_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Known:
    """A token that is let in, of which only the digest is kept."""

    client: str
    digest: bytes


class Tokens:
    """The tokens of a file, which may be replaced while the server runs.

    Args:
        file: the file.

    Raises:
        StartError: it cannot be read, holds no token, or a line is wrong; no token is shown.
    """

    def __init__(self, file: Path) -> None:
        self._known = Watched((file,), lambda: read_tokens(file))

    def client_of(self, token: str) -> str | None:
        """Whose token it is; None where it is not let in. All are compared, in constant time."""
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for known in self._known.get():
            if hmac.compare_digest(known.digest, digest):
                found = known.client
        return found


def read_tokens(file: Path) -> tuple[Known, ...]:
    """The tokens of a file; empty lines and those that begin with # are passed over.

    Raises:
        StartError: it cannot be read, holds no token, or a line is wrong; no token is shown.
    """
    return tuple(_known(words, f"{file}, line {number}") for number, words in _written(file))


def first_token(file: Path) -> str:
    """The token to send of a file that a server reads its tokens from: the first.

    Raises:
        StartError: it cannot be read, holds no token, or its line is wrong; no token is shown.
    """
    number, words = _written(file)[0]
    _known(words, f"{file}, line {number}")  # what is no token would be shown by grpc's complaint
    return words[-1]


def _written(file: Path) -> list[tuple[int, list[str]]]:
    """The words of each line with a token, and the line's number."""
    lines = read_bytes(file).decode("utf-8", "replace").splitlines()
    found = [
        (number, line.split())
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not found:
        raise StartError(f"{file} holds no token")
    return found


def _known(parts: list[str], place: str) -> Known:
    *names, token = parts
    if len(names) > 1 or not all(map(_NAME.fullmatch, names)) or not _TOKEN.fullmatch(token):
        raise StartError(
            f"{place}: wanted a token of visible ASCII characters, before it at most a name of 64 "
            "letters, digits and . _ @ -, and a blank"
        )
    digest = hashlib.sha256(token.encode()).digest()
    return Known(f"token:{names[0] if names else digest.hex()[:_SHOWN_DIGITS]}", digest)
