"""Heads that answer by rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from polyhead._bundle import Figure, HeadKind

Classify: TypeAlias = Callable[[Sequence[str]], Mapping[str, float]]
Tag: TypeAlias = Callable[[Sequence[str]], Sequence[str]]
Find: TypeAlias = Callable[[Sequence[str]], Sequence[tuple[int, int, str]]]

_WORD = re.compile(r"['\u2019]\w+|\w+(?:-\w+)*|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Head:
    """A task and the rule that does it.

    Attributes:
        name: The task's name.
        kind: Which result it gives.
        labels: Its labels.
        rule: From the words of a document: for classification, a weight per label, which need
            not sum to 1; for tagging, a tag per word; for spans, triples of first word, word
            behind the last, and label.
        figures: Figures to publish.
    """

    name: str
    kind: HeadKind
    labels: tuple[str, ...]
    rule: Classify | Tag | Find
    figures: tuple[Figure, ...] = ()


def split_words(text: str) -> list[tuple[str, int, int]]:
    """Give the words of a text with the code points where each starts and ends."""
    return [(match[0], match.start(), match.end()) for match in _WORD.finditer(text)]


def _known(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SENTIMENT = {
    "negative": _known("awful bad broken hate hated poor sad slow terrible worst"),
    "neutral": frozenset[str](),
    "positive": _known("excellent fast good great happy love loved lovely nice wonderful"),
}
_TOPIC = {
    "World": frozenset[str](),
    "Sports": _known("coach cup game goal league match season team win won"),
    "Business": _known("bank company deal firm market profit sales shares stock store"),
    "Sci/Tech": _known("code computer internet launch phone research server software space web"),
}
_PLACES = _known("Amsterdam Berlin China France Germany London Paris Rome Tokyo York")
_FIRMS = _known("Apple Bank Google Inc Intel Microsoft NASA Nokia Reuters Sony")
_TAG_OF = {
    word: tag
    for tag, words in {
        "DET": "a an the this that these those",
        "ADP": "at by for from in of on to with",
        "CCONJ": "and but or",
        "PRON": "he i it me she them they we you",
        "AUX": "are be been is was were will would",
        "PART": "not 's \u2019s 't \u2019t",
    }.items()
    for word in words.split()
}
_TAGS = (*dict.fromkeys(_TAG_OF.values()), "ADV", "NOUN", "NUM", "PROPN", "PUNCT", "SYM", "VERB")


def _count(lists: Mapping[str, frozenset[str]], fallback: str) -> Classify:
    def rule(words: Sequence[str]) -> Mapping[str, float]:
        found = {
            label: sum(word.lower() in known for word in words) for label, known in lists.items()
        }
        if not any(found.values()):
            found[fallback] = 1
        return {label: 1.0 + 8.0 * count for label, count in found.items()}

    return rule


def _tag(words: Sequence[str]) -> Sequence[str]:
    return [_tag_of(word) for word in words]


def _tag_of(word: str) -> str:
    known = _TAG_OF.get(word.lower())
    if known is not None:
        return known
    if not any(map(str.isalnum, word)):
        return "PUNCT" if word.isascii() else "SYM"
    if word.isdigit():
        return "NUM"
    if word[0].isupper():
        return "PROPN"
    endings = {"ly": "ADV", "ing": "VERB", "ed": "VERB"}
    return next((tag for end, tag in endings.items() if word.endswith(end)), "NOUN")


def _find(words: Sequence[str]) -> Sequence[tuple[int, int, str]]:
    runs = groupby(range(len(words)), key=lambda index: _tag_of(words[index]) == "PROPN")
    found = [list(indices) for named, indices in runs if named]
    return [(run[0], run[-1] + 1, _label({words[i] for i in run})) for run in found]


def _label(words: set[str]) -> str:
    if words & _FIRMS:
        return "ORG"
    return "LOC" if words & _PLACES else "PER"


DEFAULT_HEADS = (
    Head(
        "sentiment",
        HeadKind.CLASSIFICATION,
        tuple(_SENTIMENT),
        _count(_SENTIMENT, "neutral"),
        (Figure("sst-2", "dev", "accuracy", 0.5),),
    ),
    Head("entities", HeadKind.SPANS, ("PER", "ORG", "LOC"), _find),
    Head("pos", HeadKind.TAGGING, _TAGS, _tag),
    Head("topic", HeadKind.CLASSIFICATION, tuple(_TOPIC), _count(_TOPIC, "World")),
)
"""The heads that are served where none are given: sentiment, entities, pos, topic."""
