"""Sub-words of words, remembered: most words of most texts have been seen before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_server.shapes import SHAPE_NONE, word_shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokenizers import Tokenizer

Subwords = tuple[tuple[int, ...], tuple[int, ...]]
"""Ids of a word's sub-words, and the word's letter-case shape once for each of them."""

_MOST_WORDS = 50_000
_LONGEST_WORD = 32
"""Longer words are not remembered: together with the number of words it bounds the memory."""


class WordTokenizer:
    """Cuts words into sub-words. Safe to share by threads.

    A word's sub-words depend on the word alone, so they are looked up where it is known.

    Args:
        tokenizer: the sub-word tokeniser.
        unknown: id for a word that has no sub-word, or too many.
        most_pieces: sub-words that a word may have.
        shapes: whether to give letter-case shapes.
        spaced: whether words are cut as they are behind a space.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        unknown: int,
        most_pieces: int,
        shapes: bool,
        spaced: bool = False,
    ) -> None:
        self._tokenizer = tokenizer
        self._unknown = unknown
        self._most_pieces = most_pieces
        self._shapes = shapes
        self._before = " " if spaced else ""
        self._known: dict[str, Subwords] = {}

    def __call__(self, words: Sequence[str]) -> list[Subwords]:
        """The sub-words of each word, at least one each."""
        known = self._known
        found = [known.get(word) for word in words]
        if None not in found:
            return [entry for entry in found if entry is not None]
        new = dict.fromkeys(word for word, entry in zip(words, found, strict=True) if not entry)
        fresh = dict(zip(new, self._tokenize(list(new)), strict=True))
        self._remember(fresh)
        return [entry or fresh[word] for word, entry in zip(words, found, strict=True)]

    def _remember(self, fresh: dict[str, Subwords]) -> None:
        if len(self._known) + len(fresh) > _MOST_WORDS:
            self._known = {}  # readers keep the old one until they are done
        self._known.update(
            (word, entry) for word, entry in fresh.items() if len(word) <= _LONGEST_WORD
        )

    def _tokenize(self, words: list[str]) -> Iterable[Subwords]:
        given = [self._before + word for word in words] if self._before else words
        encoded = self._tokenizer.encode(given, is_pretokenized=True, add_special_tokens=False)
        pieces: list[list[int]] = [[] for _ in words]
        for piece, owner in zip(encoded.ids, encoded.word_ids, strict=True):
            pieces[owner].append(piece)
        for word, own in zip(words, pieces, strict=True):
            ids = tuple(own) if 0 < len(own) <= self._most_pieces else (self._unknown,)
            shape = word_shape(word) if self._shapes else SHAPE_NONE
            yield ids, (shape,) * len(ids)
