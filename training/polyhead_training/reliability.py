"""Whether a score of 80 % is right in 80 of 100 cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15
"""Bins of equal width (Guo et al. 2017)."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers with scores in one part of the range."""

    count: int
    score: float
    """Their mean score."""
    right: float
    """The fraction that is right."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """How scores and correctness go together."""

    bins: tuple[Bin, ...]
    """From the lowest scores to the highest; some are empty."""
    error: float
    """Expected calibration error: mean distance of score and correctness over the bins, weighted
    by their answers (Guo et al. 2017)."""
    count: int


def reliability_of(
    scores: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS
) -> Reliability | None:
    """Sort answers into bins of equal width by score.

    Args:
        scores: from 0 to 1, [N].
        right: whether each answer is right, [N].
        bins: how many.

    Returns:
        None where there is no answer.
    """
    if not len(scores):
        return None
    places = np.minimum((scores * bins).astype(int), bins - 1)
    found = tuple(_bin(scores[places == place], right[places == place]) for place in range(bins))
    error = sum(item.count * abs(item.score - item.right) for item in found) / len(scores)
    return Reliability(found, error, len(scores))


def _bin(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> Bin:
    if not len(scores):
        return Bin(0, 0.0, 0.0)
    return Bin(len(scores), float(scores.mean()), float(right.mean()))
