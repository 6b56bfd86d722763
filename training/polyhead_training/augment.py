"""Changes to training examples that keep their targets: spans, words, letter case, typing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_training.augment_mentions import replace_mentions
from polyhead_training.augment_words import drop_words, replace_words
from polyhead_training.data.replacements import Replacements

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from polyhead_server.encoding import Source
    from polyhead_training.config import AugmentConfig

_LEAST_LETTERS = 4
"""Shorter words are too easily turned into other words by one typing error."""

_TYPO_WORDS = 12
"""About one word in so many is hit, at least one."""


_NO_REPLACEMENTS = Replacements()


def augment(
    source: Source,
    config: AugmentConfig,
    rng: random.Random,
    tags: Sequence[str] | None = None,
    known: Replacements = _NO_REPLACEMENTS,
) -> Source:
    """Change spans, words and the letter case, then mistype a word or two, each by its chance.

    Args:
        source: text, or words; as many words come back, unless words are left out.
        config: the chances.
        rng: of this example.
        tags: the tag of each word, None without.
        known: what may stand in place of a word.
    """
    source = replace_mentions(source, config, rng, tags, known)
    source = drop_words(replace_words(source, config, rng, tags, known), config, rng)
    return _typos(_recase(source, config, rng), config, rng)


def _recase(source: Source, config: AugmentConfig, rng: random.Random) -> Source:
    draw = rng.random()
    if draw < config.lower:
        return _each(source, str.lower)
    if draw < config.lower + config.upper:
        return _each(source, str.upper)
    if draw < config.lower + config.upper + config.title:
        return _each(source, _title)
    return source


def _title(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


def _each(source: Source, change: object) -> Source:
    assert callable(change)  # noqa: S101 - narrows the type
    return change(source) if isinstance(source, str) else tuple(change(word) for word in source)


def _typos(source: Source, config: AugmentConfig, rng: random.Random) -> Source:
    if not config.typo or rng.random() >= config.typo:
        return source
    words = source.split(" ") if isinstance(source, str) else list(source)
    for _ in range(1 + len(words) // _TYPO_WORDS):
        hit = rng.randrange(len(words))
        words[hit] = mistype(words[hit], rng)
    return " ".join(words) if isinstance(source, str) else tuple(words)


def mistype(word: str, rng: random.Random) -> str:
    """Swap, drop or double one inner letter of a word of at least four letters."""
    if len(word) < _LEAST_LETTERS or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 2)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    return word[: at + 1] + word[at:]
