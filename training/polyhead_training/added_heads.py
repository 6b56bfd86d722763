"""Heads that were added to a finished bundle, in its manifest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from polyhead_server.bundle import HeadSpec, Manifest

_BY_HEAD = ("torch_figures", "calibration")
"""Lists of the provenance whose entries are each about one head."""


def added_names(manifest: Manifest) -> set[str]:
    """Names of the heads that were added to the bundle after its training."""
    return {item["name"] for item in manifest.provenance.get("added_heads", [])}


def with_head(
    manifest: Manifest,
    spec: HeadSpec,
    facts: Mapping[str, Any],
    data_sets: Sequence[Mapping[str, Any]],
    calibration: Sequence[Mapping[str, Any]],
) -> Manifest:
    """A manifest with one more head, or another one of its name.

    Args:
        manifest: of the bundle as it is.
        spec: the head, with its figures.
        facts: where it comes from; its name among them.
        data_sets: what it was trained and measured on.
        calibration: its temperature, where it has one.
    """
    plain = _forget(manifest, spec.name)
    known = dict(plain.provenance)
    known["added_heads"] = [*known.get("added_heads", []), dict(facts)]
    sets = [{**item, "head": spec.name, "encoder": False} for item in data_sets]
    known["data_sets"] = [*known.get("data_sets", []), *sets]
    known["calibration"] = [*known.get("calibration", []), *calibration]
    return replace(plain, heads=tuple(_placed(manifest.heads, spec)), provenance=known)


def without_head(manifest: Manifest, name: str) -> Manifest:
    """A manifest without a head.

    Data sets that trained the encoder, too, stay named: it still holds what it learned from them.
    """
    heads = tuple(head for head in manifest.heads if head.name != name)
    return replace(_forget(manifest, name), heads=heads)


def _placed(heads: Iterable[HeadSpec], spec: HeadSpec) -> list[HeadSpec]:
    """In the place of the head of its name, or behind all others."""
    known = {head.name: head for head in heads}
    return list((known | {spec.name: spec}).values())


def _forget(manifest: Manifest, name: str) -> Manifest:
    known = dict(manifest.provenance)
    for key in _BY_HEAD:
        if key in known:
            known[key] = [item for item in known[key] if item["head"] != name]
    if "added_heads" in known:
        known["added_heads"] = [item for item in known["added_heads"] if item["name"] != name]
    if "data_sets" in known:
        known["data_sets"] = [item for item in known["data_sets"] if not _only(item, name)]
    return replace(manifest, provenance=known)


def _only(item: Mapping[str, Any], name: str) -> bool:
    """Whether a data set trained this head alone, and not the encoder."""
    return item["head"] == name and not item.get("encoder", True)
