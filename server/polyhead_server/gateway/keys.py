"""API keys from a file, a line each: the client's name, a blank, the key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from polyhead_server.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_KEY = re.compile(r"[!-~]{16,256}")
_PARTS = 2


def read_keys(file: Path | None) -> dict[str, str]:
    """Key by client; empty lines and those that begin with # are passed over.

    Raises:
        StartError: the file cannot be read, holds no key, or a line is wrong; no key is shown.
    """
    if file is None:
        return {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise StartError(f"cannot read {file} as text") from None
    keys: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            _add(keys, line.split(), f"{file}, line {number}")
    if not keys:
        raise StartError(f"{file} holds no key")
    return keys


def _add(keys: dict[str, str], parts: list[str], place: str) -> None:
    if len(parts) != _PARTS or not _NAME.fullmatch(parts[0]) or not _KEY.fullmatch(parts[1]):
        raise StartError(
            f"{place}: wanted a name of at most 64 letters, digits and . _ @ -, a blank, and a key "
            "of 16 to 256 visible characters"
        )
    name, key = parts
    if name in keys or key in keys.values():
        raise StartError(f"{place}: name or key is there twice")
    keys[name] = key
