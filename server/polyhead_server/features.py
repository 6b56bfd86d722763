"""What the heads see of a document: vectors taken from the encoder's output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def batch_features(
    hidden: Hidden, starts: Sequence[int], windows: Sequence[Window], *, with_largest: bool = True
) -> list[Features]:
    """Take what each window of a batch owns from the encoder's output.

    Each kind of vector is taken for the whole batch at once; the windows get views.

    Args:
        hidden: encoder output, [N, H]; not kept.
        starts: first row of each window in it.
        windows: the windows, in the order of their rows.
        with_largest: whether a head wants the largest values; sums stand in for them otherwise.
    """
    rows = np.concatenate([w.first + start for w, start in zip(windows, starts, strict=True)])
    words = hidden[rows]
    edges = [start + edge for w, start in zip(windows, starts, strict=True) for edge in w.pool]
    lasts = hidden[[edge - 1 for edge in edges[1::2]]]
    if edges[-1] == len(hidden):  # the last run goes to the end by itself
        edges.pop()
    totals = np.add.reduceat(hidden, edges)[::2]  # between the owned runs lie marks and overlaps
    largest = np.maximum.reduceat(hidden, edges)[::2] if with_largest else totals
    marks = hidden[list(starts)]
    features = []
    word = 0
    for number, window in enumerate(windows):
        end = word + len(window.first)
        count = window.pool[1] - window.pool[0]
        features.append(
            Features(
                words[word:end],
                totals[number],
                count,
                largest[number],
                marks[number],
                lasts[number],
            )
        )
        word = end
    return features


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
