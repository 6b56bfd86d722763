"""What the heads see of documents: vectors taken from the encoder's output."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polyhead_server.encoding import Window
    from polyhead_server.engine import Hidden


@dataclass(frozen=True, slots=True)
class Features:
    """Vectors of the rows that one window, or one whole document, owns."""

    words: Hidden
    """Vector of the sub-word that stands for each word, [W, H]."""
    total: Hidden
    """Sum over sub-words, [H]."""
    count: int
    """Number of sub-words in the sum."""
    largest: Hidden
    """Largest value over sub-words, [H]."""
    mark: Hidden
    """Vector of the window's first token, [H]."""
    last: Hidden
    """Vector of the last sub-word, [H]."""


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """Features of several windows or documents side by side; iterates over each one's."""

    words: Hidden
    """Of all of them, [W, H]."""
    bounds: list[int]
    """First word of each, and at the end the number of words, [B + 1]."""
    total: Hidden
    """[B, H]"""
    count: Hidden
    """[B, 1]"""
    largest: Hidden
    """[B, H]"""
    mark: Hidden
    """[B, H]"""
    last: Hidden
    """[B, H]"""

    def __len__(self) -> int:
        return len(self.total)

    def __iter__(self) -> Iterator[Features]:
        return map(self.one, range(len(self)))

    def one(self, index: int) -> Features:
        """Features of one of them: views."""
        return Features(
            self.words[self.bounds[index] : self.bounds[index + 1]],
            self.total[index],
            int(self.count[index, 0]),
            self.largest[index],
            self.mark[index],
            self.last[index],
        )


def side_by_side(documents: Sequence[Features]) -> FeatureBatch:
    """Put features of several documents, at least one, into one batch."""
    return FeatureBatch(
        words=np.concatenate([document.words for document in documents]),
        bounds=list(accumulate((len(document.words) for document in documents), initial=0)),
        total=np.stack([document.total for document in documents]),
        count=np.array([[document.count] for document in documents], np.float32),
        largest=np.stack([document.largest for document in documents]),
        mark=np.stack([document.mark for document in documents]),
        last=np.stack([document.last for document in documents]),
    )


def batch_features(
    hidden: Hidden, starts: Sequence[int], windows: Sequence[Window], *, with_largest: bool = True
) -> FeatureBatch:
    """Take what each window of a batch owns from the encoder's output.

    Args:
        hidden: encoder output, [N, H]; not kept.
        starts: first row of each window in it.
        windows: the windows, in the order of their rows.
        with_largest: whether a head wants the largest values; sums stand in for them otherwise.
    """
    counts = [len(window.first) for window in windows]
    rows = np.concatenate([window.first for window in windows]) + np.repeat(starts, counts)
    pools = [(at + w.pool[0], at + w.pool[1]) for w, at in zip(windows, starts, strict=True)]
    total = _reduced(np.add, hidden, pools)
    return FeatureBatch(
        words=hidden.take(rows, axis=0),
        bounds=list(accumulate(counts, initial=0)),
        total=total,
        count=np.array([[end - start] for start, end in pools], np.float32),
        largest=_reduced(np.maximum, hidden, pools) if with_largest else total,
        mark=hidden.take(starts, axis=0),
        last=hidden.take([end - 1 for _, end in pools], axis=0),
    )


def _reduced(operation: np.ufunc, hidden: Hidden, runs: Sequence[tuple[int, int]]) -> Hidden:
    """Reduce each run of rows to one, [B, H]; ``reduceat`` takes five times as long."""
    found = np.empty((len(runs), hidden.shape[1]), hidden.dtype)
    for (start, end), row in zip(runs, found, strict=True):
        operation.reduce(hidden[start:end], axis=0, out=row)
    return found


def merge_features(parts: Sequence[Features]) -> Features:
    """Put the windows of one document together, as if it had been read at once.

    Words come from the window that owns them; sums add up; the mark is the first window's, the
    last vector the last window's.
    """
    if len(parts) == 1:
        return parts[0]
    return Features(
        words=np.concatenate([part.words for part in parts]),
        total=np.add.reduce([part.total for part in parts]),
        count=sum(part.count for part in parts),
        largest=np.maximum.reduce([part.largest for part in parts]),
        mark=parts[0].mark,
        last=parts[-1].last,
    )
