"""Letter-case shapes of words: what an uncased vocabulary forgets."""

from __future__ import annotations

from functools import lru_cache

SHAPE_NONE = 0
"""Start and end marks, and padding."""
SHAPE_LOWER = 1
SHAPE_TITLE = 2
SHAPE_UPPER = 3
SHAPE_INITIAL = 4
"""One upper-case letter, as in "I" or "J."."""
SHAPE_MIXED = 5
SHAPE_DIGIT = 6
"""Starts with a digit or is digits and marks only."""
SHAPE_OTHER = 7
"""No letter and no digit."""
SHAPES = 8
"""Number of shapes: rows of the shape embedding."""


_READ_CHARS = 48
"""Letters looked at: enough for any real word, and it bounds the cache's memory."""


def word_shape(word: str) -> int:
    """Shape of a word that is not empty, from 1 to ``SHAPES`` - 1."""
    return _shape(word[:_READ_CHARS])


@lru_cache(maxsize=32_768)
def _shape(word: str) -> int:
    letters = [char for char in word if char.isalpha()]
    if word[0].isdigit() or (not letters and any(char.isdigit() for char in word)):
        return SHAPE_DIGIT
    if not letters:
        return SHAPE_OTHER
    upper = sum(char.isupper() for char in letters)
    return _cased_shape(letters, upper)


def _cased_shape(letters: list[str], upper: int) -> int:
    if upper == 0:
        return SHAPE_LOWER
    if upper == len(letters):
        return SHAPE_INITIAL if upper == 1 else SHAPE_UPPER
    if upper == 1 and letters[0].isupper():
        return SHAPE_TITLE
    return SHAPE_MIXED
