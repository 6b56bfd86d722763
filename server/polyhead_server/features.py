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
    """Vector of each word's first sub-word, [W, H]."""
    total: Hidden
    """Sum over sub-words, [H]."""
    count: int
    """Number of sub-words in the sum."""
    largest: Hidden
    """Largest value over sub-words, [H]."""
    mark: Hidden
    """Vector of the window's first token, [H]."""


def window_features(hidden: Hidden, start: int, window: Window) -> Features:
    """Take what one window owns from the encoder's output of a batch.

    Args:
        hidden: encoder output, [N, H].
        start: the window's first row in it.
        window: the window.
    """
    first, end = window.pool
    owned = hidden[start + first : start + end]
    return Features(
        words=hidden[window.first + start],
        total=np.add.reduce(owned, axis=0),
        count=end - first,
        largest=np.maximum.reduce(owned, axis=0),
        mark=hidden[start].copy(),
    )


def merge_features(parts: Sequence[Features]) -> Features:
    """Put the windows of one document together, as if it had been read at once.

    Words come from the window that owns them; sums add up; the mark is the first window's.
    """
    if len(parts) == 1:
        return parts[0]
    return Features(
        words=np.concatenate([part.words for part in parts]),
        total=np.add.reduce([part.total for part in parts]),
        count=sum(part.count for part in parts),
        largest=np.maximum.reduce([part.largest for part in parts]),
        mark=parts[0].mark,
    )
