"""Texts that are in training data and in dev or test data: figures on those would flatter.

Three kinds are told apart: the same text; the same but for letter case, blanks and punctuation; and
long texts of which much is the same, seen by the runs of five words that they share. Texts of a
word or two ("Thank you!") are alike by chance: they are a kind of their own, and no leak.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from polyhead_training.config_types import Config
    from polyhead_training.data.examples import Example, SourceData

Kind = Literal["exact", "folded", "overlap", "short"]
KINDS: tuple[Kind, ...] = ("exact", "folded", "overlap", "short")
"""The same text, the same when folded, much of a long text, or a short text by chance."""

_RUN = 5
"""Words in a run."""
_SHORT_WORDS, _SHORT_LETTERS = 3, 12
"""A text of fewer words that has fewer letters, too, is short."""
_LONG = 10
"""Words of the shortest text whose runs are compared."""
_SHARE = 0.5
"""Share of the shorter text's runs that make two long texts near duplicates."""
_COMMON = 50
"""A run found in more measured texts than this is a set phrase, and says nothing."""
_MOST_LINES = 8
_WORD = re.compile(r"[^\W_]+")

Place = tuple[str, str]
"""Source and part, dev or test."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A training example that a dev or test part has too."""

    source: str
    """The source that trains on it."""
    index: int
    """Its place among the source's training examples."""
    of: str
    """The source that is measured on it."""
    part: str
    """dev or test."""
    other: int
    """Place of the first such example in that part."""
    kind: Kind


@dataclass(frozen=True, slots=True)
class LeakCount:
    """What one source's training examples share with one part of a source."""

    source: str
    of: str
    part: str
    counts: Mapping[Kind, int]
    """Training examples by kind; all three kinds."""
    examples: tuple[tuple[Example, Example], ...]
    """The first few, training example and measured example."""

    @property
    def total(self) -> int:
        """Training examples of all kinds but the short ones."""
        return sum(count for kind, count in self.counts.items() if kind != "short")


def find_leaks(data: Mapping[str, SourceData]) -> list[Leak]:
    """Every training example that a dev or test part of any source has too.

    Sources share the encoder, so those of all heads are compared. Each part counts once for a
    training example, with the strongest kind and the first such text. Short ones are among them.
    """
    index = _Index()
    for name, source in data.items():
        for part, examples in (("dev", source.dev), ("test", source.test)):
            for at, example in enumerate(examples):
                index.add((name, part), at, surface(example))
    index.close()
    return [
        Leak(name, at, *place, other, kind)
        for name, source in data.items()
        for at, example in enumerate(source.train)
        for place, (kind, other) in sorted(index.find(surface(example)).items())
    ]


def count_leaks(
    leaks: Iterable[Leak], data: Mapping[str, SourceData], shown: int = 3
) -> list[LeakCount]:
    """Gather leaks by training source and measured part, most first, `shown` examples of each."""
    groups: defaultdict[tuple[str, str, str], list[Leak]] = defaultdict(list)
    for leak in leaks:
        groups[leak.source, leak.of, leak.part].append(leak)
    counts = []
    for (source, of, part), found in groups.items():
        telling = [_examples(leak, data) for leak in found if leak.kind != "short"]
        counts.append(LeakCount(source, of, part, _by_kind(found), tuple(telling[:shown])))
    return sorted(counts, key=lambda count: count.total, reverse=True)


def _by_kind(leaks: Sequence[Leak]) -> dict[Kind, int]:
    counts = Counter(leak.kind for leak in leaks)
    return {kind: counts[kind] for kind in KINDS}


def _examples(leak: Leak, data: Mapping[str, SourceData]) -> tuple[Example, Example]:
    part = cast("tuple[Example, ...]", getattr(data[leak.of], leak.part))
    return data[leak.source].train[leak.index], part[leak.other]


def without_leaks(data: Mapping[str, SourceData], leaks: Iterable[Leak]) -> dict[str, SourceData]:
    """The data without the training examples concerned, their number noted as `dropped`.

    Those of short leaks stay.
    """
    bad: defaultdict[str, set[int]] = defaultdict(set)
    for leak in leaks:
        if leak.kind != "short":
            bad[leak.source].add(leak.index)
    return {name: _without(source, bad[name]) for name, source in data.items()}


def _without(source: SourceData, bad: set[int]) -> SourceData:
    kept = tuple(example for at, example in enumerate(source.train) if at not in bad)
    return replace(source, train=kept, dropped=source.dropped + len(bad)) if bad else source


def leak_warnings(config: Config, data: Mapping[str, SourceData]) -> list[str]:
    """Lines for people about training examples that measured data have too."""
    if config.data.leakage == "drop":
        return [
            f"{source.dropped:,} training examples of {name} are left out: measured data have them"
            for name, source in data.items()
            if source.dropped
        ]
    if config.data.leakage == "error":  # reading the data would have ended in it
        return []
    lines = _lines(count_leaks(find_leaks(data), data))
    hidden = len(lines) - _MOST_LINES
    if hidden > 0:
        lines[_MOST_LINES:] = [f"{hidden} more such overlaps: polyhead-train check shows them all"]
    return lines


def _lines(counts: Iterable[LeakCount]) -> list[str]:
    return [
        f"{count.total:,} training examples of {count.source} are in the {count.part} part of "
        f"{count.of} too ({_kinds(count)})"
        for count in counts
        if count.total
    ]


def _kinds(count: LeakCount) -> str:
    found = [(kind, count.counts[kind]) for kind in KINDS if kind != "short"]
    return ", ".join(f"{number:,} {kind}" for kind, number in found if number)


def surface(example: Example) -> str:
    """What an example says: its text, or its words with blanks between."""
    return example.text if example.text is not None else " ".join(example.words or ())


class _Index:
    """Finds measured texts by their surface, their folded words, and their runs of words."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[Place, int]] = {}
        self._folded: dict[str, dict[Place, int]] = {}
        self._runs: defaultdict[int, list[int]] = defaultdict(list)
        self._long: list[tuple[Place, int, int]] = []

    def add(self, place: Place, at: int, text: str) -> None:
        words = _words(text)
        self._exact.setdefault(text, {}).setdefault(place, at)
        self._folded.setdefault(_key(text, words), {}).setdefault(place, at)
        if len(words) >= _LONG:
            runs = _runs(words)
            for run in runs:
                self._runs[run].append(len(self._long))
            self._long.append((place, at, len(runs)))

    def close(self) -> None:
        self._runs.default_factory = None
        for run in [run for run, found in self._runs.items() if len(found) > _COMMON]:
            del self._runs[run]

    def find(self, text: str) -> dict[Place, tuple[Kind, int]]:
        """The strongest kind, and the first such text, in each part that has one."""
        words = _words(text)
        found: dict[Place, tuple[Kind, int]] = {}
        if len(words) >= _LONG:
            found = {place: ("overlap", at) for place, at in self._overlaps(_runs(words))}
        folded = self._folded.get(_key(text, words), {})
        found |= {place: ("folded", at) for place, at in folded.items()}
        found |= {place: ("exact", at) for place, at in self._exact.get(text, {}).items()}
        if found and len(words) < _SHORT_WORDS and sum(map(len, words)) < _SHORT_LETTERS:
            return {place: ("short", at) for place, (_, at) in found.items()}
        return found

    def _overlaps(self, runs: set[int]) -> Iterator[tuple[Place, int]]:
        """The first near duplicate in each part, the last in order so that it wins in a dict."""
        shared = Counter(long for run in runs if run in self._runs for long in self._runs[run])
        for long in sorted(shared, reverse=True):
            place, at, count = self._long[long]
            if shared[long] >= _SHARE * min(len(runs), count):
                yield place, at


def _words(text: str) -> list[str]:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _WORD.findall(text.casefold())


def _key(text: str, words: Sequence[str]) -> str:
    """The same for texts that differ in letter case, blanks and punctuation only."""
    return "".join(words) or "".join(text.split())


def _runs(words: Sequence[str]) -> set[int]:
    return set(map(hash, zip(*(words[start:] for start in range(_RUN)), strict=False)))
