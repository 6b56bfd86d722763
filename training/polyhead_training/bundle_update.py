"""Changes to a bundle that lies where a server may read it: a kill leaves the old or the new one.

Files of the bundle are never written over while a manifest knows their digests: first the old
manifest lets go of what will change, then the files are put into place, and then the new manifest,
each in one rename.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_server.bundle import open_bundle, put_file, seal_bundle
from polyhead_training.card import CARD, model_card

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from polyhead_server.bundle import Manifest

_HEADS = "heads/*.safetensors"


def update_bundle(
    bundle: Path, manifest: Manifest, heads: Mapping[str, bytes] | None = None
) -> None:
    """Give a bundle another manifest with its model card, and head files to go with it.

    Head files that the new manifest does not name are removed.

    Args:
        bundle: the bundle.
        manifest: what it shall be.
        heads: head files by their path in the bundle; none that the present manifest names.

    Raises:
        BundleError: it is damaged as it is.
    """
    old = open_bundle(bundle).manifest
    seal_bundle(bundle, old, loose={CARD, *_unnamed(bundle, old)})
    for name, content in (heads or {}).items():
        _put(bundle / name, content)
    _put(bundle / CARD, model_card(manifest).encode())
    gone = _unnamed(bundle, manifest)
    seal_bundle(bundle, manifest, loose=gone)
    for name in gone:
        (bundle / name).unlink()


def _unnamed(bundle: Path, manifest: Manifest) -> set[str]:
    """Head files that a manifest does not name."""
    found = {path.relative_to(bundle).as_posix() for path in bundle.glob(_HEADS)}
    return found - {head.file for head in manifest.heads}


def _put(file: Path, content: bytes) -> None:
    file.parent.mkdir(exist_ok=True)
    put_file(file, content)
