"""Whether a score of 80 % is right in 80 of 100 cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polyhead_training.prediction_counts import answer_spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyhead_training.predictions import Part

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers with scores in one tenth of the range."""

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


def reliability(part: Part) -> Reliability | None:
    """Sort a part's answers into bins by score; None where there is no answer."""
    pairs = list(scored_answers(part))
    if not pairs:
        return None
    scores, right = np.array(pairs, np.float64).T
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = tuple(_bin(scores[places == place], right[places == place]) for place in range(BINS))
    error = sum(item.count * abs(item.score - item.right) for item in bins) / len(pairs)
    return Reliability(bins, error, len(pairs))


def scored_answers(part: Part) -> Iterator[tuple[float, bool]]:
    """Score of every text's label, word's tag or predicted span, and whether it is right."""
    for example, answer, scores in zip(part.examples, part.answers, part.scores, strict=True):
        if isinstance(example.target, str):
            yield scores[0], answer == example.target
        elif part.kind == "spans":
            expected = set(answer_spans(part, example.target))
            found = answer_spans(part, answer)
            yield from ((s, span in expected) for s, span in zip(scores, found, strict=True))
        else:
            for gold, given, score in zip(example.target, answer, scores, strict=True):
                if gold in part.labels:
                    yield score, gold == given


def _bin(scores: np.ndarray, right: np.ndarray) -> Bin:
    if not len(scores):
        return Bin(0, 0.0, 0.0)
    return Bin(len(scores), float(scores.mean()), float(right.mean()))
