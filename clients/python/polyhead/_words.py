"""Documents: what a caller may hand in."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Words:
    """A document that the caller has split into words.

    Offsets in its annotation refer to the words joined by one space each.

    Attributes:
        words: The words in text order, each with at least one visible character.
    """

    words: tuple[str, ...]

    def __init__(self, words: Sequence[str]) -> None:
        if isinstance(words, str):
            raise TypeError("Words takes a sequence of words; a text as a whole is a plain str")
        object.__setattr__(self, "words", tuple(words))

    def __str__(self) -> str:
        """Give the text that offsets refer to."""
        return " ".join(self.words)


Document: TypeAlias = str | Words
"""Raw text, or words."""

_UNSEEN = ("Zs", "Zl", "Zp", "Cc", "Cf", "Cs")


def is_visible(text: str) -> bool:
    """Whether a text has a character that can be seen, without which nothing can be annotated."""
    return text.isalnum() or any(unicodedata.category(mark) not in _UNSEEN for mark in text)
