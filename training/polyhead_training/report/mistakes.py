"""The wrong answers that a bundle is most certain of."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead_training.prediction_counts import answer_spans
from polyhead_training.report.confusion import NO_SPAN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polyhead_training.data import Example
    from polyhead_training.predictions import Part

SHOWN = 10
_CHARS = 400
_WORDS = 14
"""Words shown on either side of a wrong one."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong answer."""

    origin: str
    """File and line."""
    gold: str
    """The label that would be right, or those of the spans that overlap with a wrong one."""
    gold_shown: str
    """The same with the words of these spans."""
    given: str
    score: float
    before: str
    """Text before what is wrong."""
    wrong: str
    """The words with the wrong answer; empty where it is about the whole text."""
    after: str


def worst(part: Part, count: int = SHOWN) -> list[Mistake]:
    """The wrong answers with the highest scores, highest first."""
    found = enumerate(_mistakes(part))
    best = heapq.nlargest(count, found, key=lambda pair: (pair[1].score, -pair[0]))
    return [mistake for _, mistake in best]


def _mistakes(part: Part) -> Iterator[Mistake]:
    for example, answer, scores in zip(part.examples, part.answers, part.scores, strict=True):
        if isinstance(example.target, str):
            if answer != example.target:
                shown = _shortened(example.text or " ".join(example.words or ()))
                gold, given = example.target, str(answer)
                yield Mistake(example.origin, gold, gold, given, scores[0], shown, "", "")
        elif part.kind == "spans":
            yield from _span_mistakes(part, example, answer, scores)
        else:
            yield from _tag_mistakes(part, example, answer, scores)


def _tag_mistakes(
    part: Part, example: Example, answer: Sequence[str], scores: Sequence[float]
) -> Iterator[Mistake]:
    rows = zip(example.target, answer, scores, strict=True)
    for place, (gold, given, score) in enumerate(rows):
        if gold != given and gold in part.labels:
            yield _at(example, place, place + 1, (gold, gold), given, score)


def _span_mistakes(
    part: Part, example: Example, answer: str | Sequence[str], scores: Sequence[float]
) -> Iterator[Mistake]:
    expected = answer_spans(part, example.target)
    for span, score in zip(answer_spans(part, answer), scores, strict=True):
        if span not in expected:
            first, end, label = span
            yield _at(
                example, first, end, _overlapping(example, expected, first, end), label, score
            )


def _overlapping(
    example: Example, expected: Sequence[tuple[int, int, str]], first: int, end: int
) -> tuple[str, str]:
    words = example.words or ()
    found = [span for span in expected if span[0] < end and first < span[1]]
    labels = "; ".join(label for _, _, label in found)
    shown = "; ".join(f"{label}: {' '.join(words[a:b])}" for a, b, label in found)
    return labels or NO_SPAN, shown or NO_SPAN


def _at(
    example: Example, first: int, end: int, gold: tuple[str, str], given: str, score: float
) -> Mistake:
    words = example.words or ()
    start, stop = max(0, first - _WORDS), end + _WORDS
    before = ("… " if start else "") + " ".join(words[start:first])
    after = " ".join(words[end:stop]) + (" …" if stop < len(words) else "")
    wrong = " ".join(words[first:end])
    return Mistake(example.origin, *gold, given, score, before, wrong, after)


def _shortened(text: str) -> str:
    return text if len(text) <= _CHARS else text[:_CHARS] + " …"
