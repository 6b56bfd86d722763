"""Changed copies of texts without labels, for a teacher to say what each has become.

A word in place of another can turn what a text says, which its label would not survive; a teacher
is asked about each copy as about any text, so that a student learns where the answer turns. Words
are replaced by others of their class and stretches cut out after Tang et al. 2019, "Distilling
task-specific knowledge from BERT into simple neural networks"; parts of two texts are joined.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from polyhead_training.augment_words import core_of, with_core

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyhead_training.config_types import VaryConfig
    from polyhead_training.data.examples import Example

Words = tuple[str, ...]

_SHORTEST = 3
"""Words of a stretch that is cut out, at least."""

_BREAK = re.compile(r"\A[,;:\u2013\u2014\u060c\u3001\uff0c\uff1a\uff1b]+\Z|\A--+\Z")
_BREAK_BEHIND = re.compile(r"[,;:\u3001\uff0c\uff1a\uff1b]\Z")


def with_copies(
    examples: Sequence[Example], config: VaryConfig, usual: Mapping[str, str], seed: str
) -> tuple[Example, ...]:
    """The examples, each with its changed copies behind it; none comes twice.

    Args:
        examples: texts, or lists of words.
        config: how many copies, and how they are changed.
        usual: the tag that a word in lower case has most often; others are not replaced.
        seed: of everything drawn.
    """
    # Variety, nothing secret.
    rng = random.Random(seed)
    texts = [_words(example) for example in examples]
    maker = _Maker(texts, config, usual, rng)
    seen = set(texts)
    found: list[Example] = []
    for example, words in zip(examples, texts, strict=True):
        found.append(example)
        for copy in maker.copies(words):
            if copy not in seen:
                seen.add(copy)
                found.append(_as(example, copy))
    return tuple(found)


def _words(example: Example) -> Words:
    return tuple((example.text or "").split()) if example.words is None else example.words


def _as(example: Example, words: Words) -> Example:
    if example.words is None:
        return replace(example, text=" ".join(words))
    # A target for each word only where the head tags words.
    target = example.target if isinstance(example.target, str) else ("",) * len(words)
    return replace(example, words=words, target=target)


class _Maker:
    """Makes copies, from what all texts have."""

    def __init__(
        self,
        texts: Sequence[Words],
        config: VaryConfig,
        usual: Mapping[str, str],
        rng: random.Random,
    ) -> None:
        self._config = config
        self._usual = usual
        self._rng = rng
        self._classes = _classes(texts, usual) if config.words else {}
        self._tails = [words[at:] for words in texts for at in _breaks(words)]

    def copies(self, words: Words) -> Iterator[Words]:
        """As many copies as there are to be; some may be equal, or as before."""
        breaks = _breaks(words)
        for _ in range(self._config.copies):
            copy, draw = words, self._rng.random()
            if draw < self._config.cut:
                copy = self._stretch(words)
            elif draw < self._config.cut + self._config.join and breaks:
                copy = words[: self._rng.choice(breaks)] + self._rng.choice(self._tails)
            # Some copies stay close, some go far.
            chance = self._rng.uniform(0, 2 * self._config.words)
            yield tuple(self._some_other(word, chance) for word in copy)

    def _stretch(self, words: Words) -> Words:
        if len(words) <= _SHORTEST:
            return words
        count = self._rng.randrange(_SHORTEST, len(words))
        start = self._rng.randrange(len(words) - count + 1)
        return words[start : start + count]

    def _some_other(self, word: str, chance: float) -> str:
        if self._rng.random() >= chance:
            return word
        core = core_of(word)
        known = self._classes.get(self._usual.get(core.lower(), ""))
        if not known:
            return word
        choices, weights = known
        other = self._rng.choices(choices, cum_weights=weights)[0]
        return with_core(word, core, other)


def _breaks(words: Words) -> list[int]:
    """Where a text can be parted: before a lone comma or dash, behind a word that has one."""
    return [
        at
        for at in range(1, len(words))
        if _BREAK.match(words[at])
        or (_BREAK_BEHIND.search(words[at - 1]) and not _BREAK.match(words[at - 1]))
    ]


def _classes(
    texts: Sequence[Words], usual: Mapping[str, str]
) -> dict[str, tuple[list[str], list[float]]]:
    """The texts' words by class, with cumulative weights: the roots of how often they come."""
    counts = Counter(core_of(word).lower() for words in texts for word in words)
    classes: defaultdict[str, list[str]] = defaultdict(list)
    for word in counts:
        if word in usual:
            classes[usual[word]].append(word)
    return {
        tag: (words, list(accumulate(counts[word] ** 0.5 for word in words)))
        for tag, words in classes.items()
    }
