"""Figures of merit, each from 0 to 1, from gold and predicted answers.

Definitions are those of the field's own scorers, so that figures can be compared: macro averages as
in TweetEval, entities as in conlleval and seqeval, words and their tags as in the CoNLL 2018 shared
task evaluation.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Span = tuple[int, int]
"""Start and end in code points, the end exclusive."""


def accuracy(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Fraction of the answers that equal the gold label; 0 for no answers."""
    _check_lengths(gold, predicted)
    matches = sum(map(str.__eq__, gold, predicted))
    return matches / len(gold) if gold else 0.0


def macro_recall(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Mean over the labels that occur in `gold` of the fraction of each that was found.

    The measure of SemEval-2017 task 4 and of TweetEval's sentiment.
    """
    table = _confusion(gold, predicted)
    of_label = table.sum(axis=1)
    present = of_label > 0
    return _mean(table.diagonal()[present] / of_label[present])


def macro_f1(gold: Sequence[str], predicted: Sequence[str], labels: Collection[str] = ()) -> float:
    """Mean of the F1 of each label that occurs in `gold` or in `predicted`.

    Args:
        gold: the right labels.
        predicted: the answers.
        labels: those that count; empty for all.
    """
    table = _confusion(gold, predicted)
    values = 2 * table.diagonal() / (table.sum(axis=0) + table.sum(axis=1))
    counted = [not labels or label in labels for label in _seen(gold, predicted)]
    return _mean(values[np.array(counted, bool)])


def entity_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Micro F1 of spans over all sentences: a hit has the same first word, last word and label.

    Tags are BIO; an I- that continues no span of its label starts one, as conlleval reads it.
    0 where neither side has a span.
    """
    _check_lengths(gold, predicted)
    for row, other in zip(gold, predicted, strict=True):
        _check_lengths(row, other)
    return _multiset_f1([tag_spans(tags) for tags in gold], [tag_spans(tags) for tags in predicted])


def tag_spans(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """The spans of one sentence's BIO tags as first word, word after the last, and label."""
    spans: list[tuple[int, int, str]] = []
    start, label = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        if label and tag != f"I-{label}":
            spans.append((start, index, label))
            label = ""
        if not label and tag != "O":
            start, label = index, tag[2:]
    return spans


def word_f1(gold: Sequence[Sequence[Span]], predicted: Sequence[Sequence[Span]]) -> float:
    """F1 of the split into words over all texts: a hit is a word with the same characters.

    `gold` and `predicted` hold the span of each word of each text, in code points of that text.
    """
    _check_lengths(gold, predicted)
    return _multiset_f1(gold, predicted)


def tag_f1_from_raw(
    gold_spans: Sequence[Sequence[Span]],
    gold_tags: Sequence[Sequence[str]],
    predicted_spans: Sequence[Sequence[Span]],
    predicted_tags: Sequence[Sequence[str]],
) -> float:
    """F1 of tagged words over all texts: a hit has the same characters and the same tag.

    This is the UPOS figure of the CoNLL 2018 shared task: precision over the predicted words and
    recall over the gold words, words matched by their characters. Spans are in code points of the
    text; words of one surface token have divided it by characters on both sides.
    """
    gold = _tagged_words(gold_spans, gold_tags)
    return _multiset_f1(gold, _tagged_words(predicted_spans, predicted_tags))


def score(
    metric: str,
    gold: Sequence[str | Sequence[str]],
    predicted: Sequence[str | Sequence[str]],
    labels: Collection[str] = (),
) -> float:
    """The figure called `metric` in configs, over labels of texts or tags of words.

    Except for entities, the tags of all sentences are put in one row. `labels` are those that the
    data set tells apart, empty for all: `macro_f1` is their mean. Raises KeyError for an unknown
    name and ValueError where gold and predicted answers differ in number.
    """
    _check_lengths(gold, predicted)
    if metric == "entity_f1":
        return entity_f1(gold, predicted)
    if metric == "macro_f1":
        return macro_f1(_flat(gold), _flat(predicted), labels)
    return _FLAT[metric](_flat(gold), _flat(predicted))


_FLAT: dict[str, Callable[[Sequence[str], Sequence[str]], float]] = {
    "accuracy": accuracy,
    "macro_recall": macro_recall,
}


def _flat(answers: Sequence[str | Sequence[str]]) -> list[str]:
    return list(
        chain.from_iterable([answer] if isinstance(answer, str) else answer for answer in answers)
    )


def _seen(gold: Sequence[str], predicted: Sequence[str]) -> list[str]:
    """All labels there are, in the order of the confusion table."""
    return sorted({*gold, *predicted})


def _confusion(gold: Sequence[str], predicted: Sequence[str]) -> NDArray[np.int64]:
    """Counts of shape (labels, labels): gold label by predicted label."""
    _check_lengths(gold, predicted)
    index = {label: at for at, label in enumerate(_seen(gold, predicted))}
    table = np.zeros((len(index), len(index)), dtype=np.int64)
    rows = [index[label] for label in gold]
    np.add.at(table, (rows, [index[label] for label in predicted]), 1)
    return table


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else 0.0


def _tagged_words(
    spans: Sequence[Sequence[Span]], tags: Sequence[Sequence[str]]
) -> list[list[tuple[Span, str]]]:
    return [
        list(zip(places, names, strict=True)) for places, names in zip(spans, tags, strict=True)
    ]


def _multiset_f1(
    gold: Iterable[Sequence[Hashable]], predicted: Iterable[Sequence[Hashable]]
) -> float:
    """Micro F1 of items that match within the same row; 0 where there are none at all."""
    hits = total = 0
    for expected, found in zip(gold, predicted, strict=True):
        hits += (Counter(expected) & Counter(found)).total()
        total += len(expected) + len(found)
    return 2 * hits / total if total else 0.0


def _check_lengths(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold answers but {len(predicted)} predicted")
