"""From documents to passages of tokens, and to batches with some tokens masked."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from polyhead_server.errors import NoWordsError
from polyhead_training.batches import NO_TARGET
from polyhead_training.cutting import padded
from polyhead_training.language_model import TextBatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Generator, Tensor

    from polyhead_server.encoding import DocumentEncoder, IntArray

_LEAST_TOKENS = 2  # the least in which one foretells another
_MASKED, _KEPT, _OTHER = 0.15, 0.1, 0.1
"""Of all tokens, and of the masked ones those that stay and those that turn into any other."""
_PRIME = 7_919


@dataclass(frozen=True, slots=True)
class Corpus:
    """Passages to learn from and to measure on, each with its marks."""

    train: Mapping[str, Sequence[IntArray]]
    """By set of texts."""
    held: Sequence[IntArray]


@dataclass(frozen=True, slots=True)
class Parts:
    """Documents to learn from and to measure on."""

    train: Mapping[str, Sequence[str]]
    """By set of texts."""
    held: Sequence[str]


@dataclass(frozen=True, slots=True)
class Marks:
    """What masking has to know of a vocabulary."""

    mask: int
    """Id that stands for a masked token; -1 where nothing is masked."""
    special: tuple[int, ...]
    """Ids that are never masked: start and end."""
    size: int
    """Number of sub-words."""


def hold_out(texts: Mapping[str, Sequence[str]], count: int, seed: int) -> Parts:
    """Choose documents to measure on, of which nothing is learned, not even a vocabulary.

    Args:
        texts: documents by set.
        count: documents that are held out, at most a fifth.
        seed: chooses them.
    """
    places = [(name, index) for name, part in texts.items() for index in range(len(part))]
    most = max(1, len(places) // 5)
    chosen = set(random.Random(f"{seed}:held").sample(places, min(count, most)))
    held = [texts[name][index] for name, index in places if (name, index) in chosen]
    train = {
        name: [text for index, text in enumerate(part) if (name, index) not in chosen]
        for name, part in texts.items()
    }
    return Parts(train, held)


def make_corpus(parts: Parts, encoder: DocumentEncoder) -> Corpus:
    """Cut documents into passages of at most one window.

    Args:
        parts: the documents.
        encoder: cuts a document; its windows must not overlap.
    """
    train = {name: _passages(texts, encoder) for name, texts in parts.train.items()}
    return Corpus(train, _passages(parts.held, encoder))


def _passages(texts: Iterable[str], encoder: DocumentEncoder) -> list[IntArray]:
    found: list[IntArray] = []
    for text in texts:
        try:
            windows = encoder.encode(text).windows
        except NoWordsError:
            continue
        found += [window.ids for window in windows if len(window.ids) >= _LEAST_TOKENS]
    return found


def make_batch(
    passages: Sequence[IntArray], marks: Marks, seed: int, device: torch.device
) -> TextBatch:
    """Pad passages, and mask tokens where the vocabulary has a mask.

    Args:
        passages: the texts.
        marks: the vocabulary.
        seed: of the masks.
        device: where the batch goes.
    """
    size = max(map(len, passages))
    ids, mask = np.zeros((2, len(passages), size), np.int64)
    for row, passage in enumerate(passages):
        ids[row, : len(passage)] = passage
        mask[row, : len(passage)] = 1
    seen, targets = torch.from_numpy(ids), torch.full(ids.shape, NO_TARGET)
    if marks.mask >= 0:
        able = torch.from_numpy((mask > 0) & ~np.isin(ids, marks.special))
        seen, targets = mask_tokens(seen, able, marks, torch.Generator().manual_seed(seed))
    parts = (seen, torch.from_numpy(mask), targets)
    return TextBatch(*(part.to(device) for part in parts))


def mask_tokens(
    ids: Tensor, able: Tensor, marks: Marks, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Mask 15 % of tokens (Devlin et al. 2019): most by the mask, some by any, some not at all.

    Args:
        ids: [B, T].
        able: which may be masked, [B, T]; at least one is.
        marks: the vocabulary.
        generator: of everything random.

    Returns:
        What the encoder sees, [B, T], and what was there, NO_TARGET where it was left alone.
    """
    draw = torch.rand(ids.shape, generator=generator).masked_fill(~able, 2.0)
    chosen = draw < max(_MASKED, float(draw.min()) + 1e-6)
    chosen &= able
    fate = torch.rand(ids.shape, generator=generator)
    others = torch.randint(marks.size, ids.shape, generator=generator)
    seen = torch.where(chosen & (fate >= _KEPT + _OTHER), marks.mask, ids)
    seen = torch.where(chosen & (fate < _OTHER), others, seen)
    return seen, torch.where(chosen, ids, NO_TARGET)


def held_batches(held: Sequence[IntArray], batch_tokens: int) -> list[list[IntArray]]:
    """Batches of passages of like length."""
    return list(padded(sorted(held, key=len), len, batch_tokens))


def held_seed(number: int) -> int:
    """Seed of a held-out batch's masks: the same at every measurement."""
    return _PRIME * (number + 1)
