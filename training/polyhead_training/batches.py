"""From examples to padded batches of windows with their targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from polyhead_training.network import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from polyhead_server.bundle import HeadSpec
    from polyhead_server.encoding import Document, Window
    from polyhead_training.data import Example

NO_TARGET = -100
"""Target that the loss leaves out."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A window and what its head should give."""

    window: Window
    targets: tuple[int, ...]
    """One label; or one output per owned word."""
    soft: npt.NDArray[np.float32] | None = None
    """Teachers' log-probabilities for each target, [len(targets), O]."""


def output_ids(spec: HeadSpec) -> dict[str, int]:
    """Index of each label, or of each of O, B-x, I-x, among a head's outputs."""
    if spec.kind != "spans":
        return {label: index for index, label in enumerate(spec.labels)}
    tags = ["O", *(f"{mark}-{label}" for label in spec.labels for mark in "BI")]
    return {tag: index for index, tag in enumerate(tags)}


def samples(
    document: Document,
    target: str | Sequence[str],
    ids: Mapping[str, int],
    soft: npt.NDArray[np.float32] | None = None,
) -> list[Sample]:
    """Windows of an example with their targets.

    A classified document that is longer than a window is learned from its first window.

    Args:
        document: the example.
        target: its label, or a tag for every word.
        ids: outputs of labels or tags.
        soft: log-probabilities of the outputs, for the document or for every word.
    """
    if isinstance(target, str):
        return [Sample(document.windows[0], (ids[target],), soft)]
    found = []
    word = 0
    for window in document.windows:
        end = word + len(window.first)
        part = None if soft is None else soft[word:end]
        found.append(Sample(window, tuple(ids[tag] for tag in target[word:end]), part))
        word = end
    return found


def source_of(example: Example) -> str | tuple[str, ...]:
    """What of an example the encoder reads: its words where it has them, else its text."""
    if example.words is not None:
        return example.words
    if example.text is None:
        raise ValueError(f"{example.origin}: an example has text or words")
    return example.text


def collate(items: Sequence[Sample], device: torch.device) -> tuple[Batch, Tensor]:
    """Pad windows to a batch; the targets lie behind each other in one vector."""
    size = max(len(item.window.ids) for item in items)
    ids, shapes, mask, pool = np.zeros((4, len(items), size), np.int64)
    first = []
    for row, item in enumerate(items):
        window = item.window
        length = len(window.ids)
        ids[row, :length] = window.ids
        shapes[row, :length] = window.shapes
        mask[row, :length] = 1
        pool[row, window.pool[0] : window.pool[1]] = 1
        first.append(window.first.astype(np.int64) + row * size)
    targets = torch.tensor([t for item in items for t in item.targets], device=device)
    arrays = (ids, shapes, mask, pool, np.concatenate(first))
    return Batch(*(torch.from_numpy(array).to(device) for array in arrays)), targets


def soft_rows(items: Sequence[Sample], device: torch.device) -> Tensor | None:
    """The soft targets of a batch, [R, O]; None where it has none."""
    parts = [item.soft for item in items if item.soft is not None]
    return torch.from_numpy(np.concatenate(parts)).to(device) if parts else None
