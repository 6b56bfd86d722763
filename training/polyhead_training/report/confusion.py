"""Which labels are taken for which."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polyhead_training.prediction_counts import answer_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from polyhead_training.predictions import Part

NO_SPAN = "(no span)"
OTHERS = "(others)"
_MOST_LABELS = 30


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts of answers by their gold label."""

    labels: tuple[str, ...]
    table: NDArray[np.int64]
    """Gold label by given label, [L, L]."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """Shares of each gold label, [L, L]."""
        rows = self.table.sum(axis=1, keepdims=True)
        shares: NDArray[np.float64] = self.table / np.maximum(rows, 1)
        return shares


def confusion(part: Part) -> Confusion:
    """Count the answers to a part; of more than 30 labels the rarest are taken together."""
    pairs = Counter(_pairs(part))
    labels = _shown(part, pairs)
    index = {label: n for n, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), np.int64)
    for (gold, given), count in pairs.items():
        table[index.get(gold, len(labels) - 1), index.get(given, len(labels) - 1)] += count
    return Confusion(labels, table)


def _shown(part: Part, pairs: Counter[tuple[str, str]]) -> tuple[str, ...]:
    seen: Counter[str] = Counter()
    for (gold, given), count in pairs.items():
        seen.update({gold: count, given: count})
    last = (NO_SPAN,) if part.kind == "spans" else ()
    known = (*part.labels, *sorted(set(seen) - {*part.labels, *last}), *last)
    if len(known) <= _MOST_LABELS:
        return known
    kept = {label for label, _ in seen.most_common(_MOST_LABELS - 1)}
    return (*(label for label in known if label in kept), OTHERS)


def _pairs(part: Part) -> Iterator[tuple[str, str]]:
    """Gold and given label of every text, word, or span of either side."""
    for example, answer in zip(part.examples, part.answers, strict=True):
        if isinstance(example.target, str):
            yield example.target, str(answer)
        elif part.kind == "spans":
            yield from _span_pairs(answer_spans(part, example.target), answer_spans(part, answer))
        else:
            tags = zip(example.target, answer, strict=True)
            yield from ((gold, given) for gold, given in tags if gold in part.labels)


def _span_pairs(
    gold: Iterable[tuple[int, int, str]], given: Iterable[tuple[int, int, str]]
) -> Iterator[tuple[str, str]]:
    """Spans are the same where their first and last word are."""
    expected = {(first, end): label for first, end, label in gold}
    found = {(first, end): label for first, end, label in given}
    for place in {**expected, **found}:
        yield expected.get(place, NO_SPAN), found.get(place, NO_SPAN)
