"""Pages that the gateway serves itself, from files: those below `data/site`, by their paths."""

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
    """Path in URLs: that of `docs.html` is /docs, of `index.html` /, others are as they lie."""
    file: str
    """Path below the data folder, with slashes."""
    content_type: str
    size: int
    """Bytes."""


def pages() -> Iterator[Page]:
    """Every page, in the order of their paths."""
    for file in sorted((DATA / SITE).rglob("*.*")):
        if file.suffix in _TYPES:
            name = file.relative_to(DATA / SITE).as_posix()
            yield Page(
                path=_path(name),
                file=f"{SITE}/{name}",
                content_type=_TYPES[file.suffix],
                size=file.stat().st_size,
            )


def _path(name: str) -> str:
    if name == "index.html":
        return "/"
    return f"/{name.removesuffix('.html')}"
