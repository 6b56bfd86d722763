"""Pages that the gateway serves itself, from files: the files of `data/site` by their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead_server.gateway.descriptors import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = "site"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One file that is served."""

    path: str
    """Path in URLs: that of `docs.html` is /docs, of `index.html` /, others are as named."""
    file: str
    """Path below the data folder, with slashes."""
    content_type: str
    size: int
    """Bytes."""


def pages() -> Iterator[Page]:
    """Every page, in the order of their names."""
    for file in sorted((DATA / SITE).iterdir()):
        if file.suffix in _TYPES:
            yield Page(
                path=_path(file.name),
                file=f"{SITE}/{file.name}",
                content_type=_TYPES[file.suffix],
                size=file.stat().st_size,
            )


def _path(name: str) -> str:
    if name == "index.html":
        return "/"
    return f"/{name.removesuffix('.html')}"
