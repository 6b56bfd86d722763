"""Figures of merit from counts by text and label, so that texts can be drawn again quickly.

Every figure here is a function of three sums for each label: how often it is the right answer, how
often it was given, and how often both at once. A figure of a resample of the texts is the figure of
the resample's sums. The definitions are those of `polyhead_training.metrics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polyhead_training.metrics import tag_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from polyhead_training.data import Example
    from polyhead_training.predictions import Answer, Part

Counts = NDArray[np.float32]
"""By text: gold, given and right answers of each label, [D, 3, L]."""

Floats = NDArray[np.float64]

_Labelled = tuple[Hashable, str]
"""An answer's place in its text, and its label."""


def part_counts(part: Part) -> dict[str, Counts]:
    """The counts behind every figure of a part, by the figure's name."""
    gold = [_items(example.target, part) for example in part.examples]
    given = [_items(answer, part) for answer in part.answers]
    if part.kind == "tagging":
        given = [_where(items, right) for items, right in zip(given, gold, strict=True)]
    own: dict[str, Counts] = {part.source.metric: _counts(gold, given, part.labels)}
    return own if part.raw is None else own | _raw_counts(part)


def figure(metric: str, totals: NDArray[np.floating]) -> Floats:
    """A figure from sums of counts.

    Args:
        metric: its name.
        totals: [..., 3, L].

    Returns:
        Values from 0 to 1, [...]; 0 where there is nothing to count.
    """
    gold, given, right = (np.asarray(totals[..., row, :], np.float64) for row in range(3))
    return _FIGURES[metric](gold, given, right)


def label_figures(totals: NDArray[np.floating]) -> Floats:
    """Precision, recall and F1 of each label, [..., 3, L]; NaN where there is none."""
    gold, given, right = (np.asarray(totals[..., row, :], np.float64) for row in range(3))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([right / given, right / gold, 2 * right / (gold + given)], axis=-2)


def answer_spans(part: Part, answer: Answer | Sequence[str]) -> list[tuple[int, int, str]]:
    """The spans of BIO tags that count, as first word, word after the last, and label."""
    return [span for span in tag_spans(list(answer)) if span[2] in part.labels]


def _items(answer: str | Sequence[str], part: Part) -> list[_Labelled]:
    if isinstance(answer, str):
        return [(0, answer)]
    if part.kind == "spans":
        return [((first, end), label) for first, end, label in answer_spans(part, answer)]
    return [(place, tag) for place, tag in enumerate(answer) if tag in part.labels]


def _where(items: list[_Labelled], right: list[_Labelled]) -> list[_Labelled]:
    """The answers at places whose right answer counts."""
    places = {place for place, _ in right}
    return [item for item in items if item[0] in places]


def _raw_counts(part: Part) -> dict[str, Counts]:
    assert part.raw is not None  # noqa: S101 - the caller looked
    gold, words = zip(*(_placed(example) for example in part.examples), strict=True)
    given = [list(zip(answer.words, answer.tags, strict=True)) for answer in part.raw]
    split = [[(place, "") for place in answer.words] for answer in part.raw]
    labels = {label for row in (*gold, *given) for _, label in row}
    return {
        "tag_f1_from_raw": _counts(gold, given, sorted(labels)),
        "word_f1_from_raw": _counts(words, split, ("",)),
    }


def _placed(example: Example) -> tuple[list[_Labelled], list[_Labelled]]:
    """Gold words by their place in the text: with their tags, and without."""
    places = example.spans or ()
    return list(zip(places, example.target, strict=True)), [(place, "") for place in places]


def _counts(
    gold: Iterable[Sequence[_Labelled]],
    given: Sequence[Sequence[_Labelled]],
    labels: Sequence[str],
) -> Counts:
    index = {label: n for n, label in enumerate(labels)}
    counts = np.zeros((len(given), 3, len(labels)), np.float32)
    for row, expected, found in zip(counts, gold, given, strict=True):
        right = (Counter(expected) & Counter(found)).elements()
        for kind, items in enumerate((expected, found, right)):
            for _, label in items:
                if label in index:
                    row[kind, index[label]] += 1
    return counts


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.zeros_like(below), where=below > 0)


def _mean_where(values: Floats, counted: NDArray[np.bool_]) -> Floats:
    return _ratio(np.where(counted, values, 0).sum(axis=-1), counted.sum(axis=-1).astype(float))


def _accuracy(gold: Floats, _: Floats, right: Floats) -> Floats:
    return _ratio(right.sum(axis=-1), gold.sum(axis=-1))


def _macro_recall(gold: Floats, _: Floats, right: Floats) -> Floats:
    return _mean_where(_ratio(right, gold), gold > 0)


def _macro_f1(gold: Floats, given: Floats, right: Floats) -> Floats:
    return _mean_where(_ratio(2 * right, gold + given), gold + given > 0)


def _micro_f1(gold: Floats, given: Floats, right: Floats) -> Floats:
    return _ratio(2 * right.sum(axis=-1), (gold + given).sum(axis=-1))


_FIGURES: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "accuracy": _accuracy,
    "macro_recall": _macro_recall,
    "macro_f1": _macro_f1,
    "entity_f1": _micro_f1,
    "tag_f1_from_raw": _micro_f1,
    "word_f1_from_raw": _micro_f1,
}
