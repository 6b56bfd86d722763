"""Changes of whole words of training examples: replaced, masked, left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from polyhead_server.encoding import Source
    from polyhead_training.config import AugmentConfig
    from polyhead_training.data.replacements import Replacements

MASK = "\N{REPLACEMENT CHARACTER}"
"""Stands for a masked word; no vocabulary of words has it, so it is read as the unknown token."""

_REPLACED_WORDS = 6
"""About one word in so many is replaced, at least one."""

_CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)
_FINAL_MARKS = re.compile(r"[\s.!?\u2026\u3002]+\Z")
_NAME_TAGS = frozenset(("PROPN", "NNP", "NNPS"))
"""Proper nouns: the universal tag, and those of the Penn Treebank, which XPOS columns have."""
_OUTSIDE_TAGS = frozenset(("O", "", None))


def replace_words(
    source: Source,
    config: AugmentConfig,
    rng: random.Random,
    tags: Sequence[str] | None,
    known: Replacements,
) -> Source:
    """Replace some words by synonyms or other forms of their lemma, keeping the letter case.

    Args:
        source: text, or words.
        config: the chances.
        rng: is asked only where a chance is not 0.
        tags: the tag of each word, or None. Words inside spans and proper nouns stay.
        known: what may stand in place of a word.
    """
    if config.synonym and rng.random() < config.synonym:
        single = not isinstance(source, str)

        def synonyms(word: str, _: str | None) -> Sequence[str]:
            found = known.synonyms_of(word)
            return [other for other in found if " " not in other] if single else found

        source = _replace(source, tags, synonyms, rng)
    if config.lemma and rng.random() < config.lemma:
        source = _replace(source, tags, known.forms_of, rng)
    return source


def _replace(
    source: Source,
    tags: Sequence[str] | None,
    choices: Callable[[str, str | None], Sequence[str]],
    rng: random.Random,
) -> Source:
    words = source.split(" ") if isinstance(source, str) else list(source)
    found: list[tuple[int, str, Sequence[str]]] = []
    for at, word in enumerate(words):
        tag = tags[at] if tags else None
        core = core_of(word)
        others = choices(core.lower(), _universal(tag)) if core and not _is_name(tag) else ()
        if others:
            found.append((at, core, others))
    for at, core, others in rng.sample(found, min(len(found), 1 + len(words) // _REPLACED_WORDS)):
        words[at] = with_core(words[at], core, rng.choice(others))
    return " ".join(words) if isinstance(source, str) else tuple(words)


def core_of(word: str) -> str:
    """A word without the marks around it."""
    match = _CORE.search(word)
    return match.group() if match else ""


def _is_name(tag: str | None) -> bool:
    return tag in _NAME_TAGS or (tag is not None and tag[:2] in {"B-", "I-"})


def _universal(tag: str | None) -> str | None:
    """The tag, None where it says nothing of the word's class."""
    return None if tag in _OUTSIDE_TAGS else tag


def with_core(word: str, core: str, other: str) -> str:
    """A word with another core in the place and the letter case of its own."""
    return word.replace(core, _in_case_of(core, other), 1)


def _in_case_of(old: str, new: str) -> str:
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def drop_words(source: Source, config: AugmentConfig, rng: random.Random) -> Source:
    """Mask words, leave words out, and take the final marks away, each with its chance.

    One word stays at least. Draws are made only for chances that are not 0.
    """
    if config.drop or config.mask:
        words = source.split(" ") if isinstance(source, str) else list(source)
        words = _masked(_kept(words, config.drop, rng), config.mask, rng)
        source = " ".join(words) if isinstance(source, str) else tuple(words)
    if config.punctuation and rng.random() < config.punctuation:
        source = _without_final_marks(source)
    return source


def _kept(words: list[str], chance: float, rng: random.Random) -> list[str]:
    if not chance:
        return words
    kept = [word for word in words if rng.random() >= chance]
    return kept if any(map(core_of, kept)) else words


def _masked(words: list[str], chance: float, rng: random.Random) -> list[str]:
    if not chance:
        return words
    return [MASK if word and rng.random() < chance else word for word in words]


def _without_final_marks(source: Source) -> Source:
    if isinstance(source, str):
        return _FINAL_MARKS.sub("", source) or source
    end = len(source)
    while end > 1 and not _FINAL_MARKS.sub("", source[end - 1]):
        end -= 1
    return source[:end]
