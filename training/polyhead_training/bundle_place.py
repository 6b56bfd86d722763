"""Where bundles are made and how they take their place."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from polyhead_server.bundle import MANIFEST
from polyhead_training.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path


def check_place(out: Path) -> None:
    """Make sure that a bundle may be written to a path: it is free, or holds a bundle.

    Raises:
        ExportError: something else is there, which would be lost.
    """
    empty = out.is_dir() and not any(out.iterdir())
    if out.exists() and not empty and not (out / MANIFEST).is_file():
        raise ExportError(f"{out} exists and is no bundle: give a path that is free by --out")


def place_beside(out: Path) -> Path:
    """A free path beside a bundle's, where its successor is made.

    What an interrupted export left there is removed; a bundle that it had moved away, but not yet
    replaced, is moved back.
    """
    fresh, old = beside(out, "new"), beside(out, "old")
    if old.exists() and not out.exists():
        old.rename(out)
    for path in (fresh, old):
        if path.exists():
            shutil.rmtree(path)
    return fresh


def take_place(fresh: Path, out: Path) -> None:
    """Put a finished bundle into place; an older one goes only once the new one is there."""
    old = beside(out, "old")
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    if old.exists():
        shutil.rmtree(old)


def beside(out: Path, mark: str) -> Path:
    """A name that nobody gives to what is to be kept: what is there is removed."""
    return out.with_name(f".{out.name}.polyhead-{mark}")
