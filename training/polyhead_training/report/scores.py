"""Whether the scores of a part's answers can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polyhead_training.prediction_counts import answer_spans
from polyhead_training.reliability import Reliability, reliability_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyhead_training.predictions import Part


def reliability(part: Part) -> Reliability | None:
    """Sort a part's answers into bins by score; None where there is no answer."""
    pairs = list(scored_answers(part))
    scores = np.array([score for score, _ in pairs], np.float64)
    return reliability_of(scores, np.array([right for _, right in pairs], np.bool_))


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
