"""Text to encoder windows: words, sub-words, letter-case shapes, and windows for long text.

Training and serving both come through here, so that a model never sees text cut differently from
how it learned it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polyhead_server.errors import NoWordsError
from polyhead_server.shapes import SHAPE_NONE
from polyhead_server.subwords import WordTokenizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

    from polyhead_server.bundle import TokenizerSpec
    from polyhead_server.words import WordSplitter

Source = str | tuple[str, ...]
"""Raw text, or words that the caller has split."""

IntArray = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Window:
    """A run of words that the encoder reads at once, with its start and end marks.

    Neighbouring windows overlap; each word is *owned* by the one window that shows it with the most
    context, and only owned rows count.
    """

    ids: IntArray
    """Sub-word ids with the start and end marks, [T]."""
    shapes: IntArray
    """Letter-case shape of each sub-word's word, [T]."""
    first: IntArray
    """Row of the sub-word that stands for each owned word, [W]: its first or, for a causal encoder,
    its last."""
    pool: tuple[int, int]
    """Rows of the owned sub-words, [start, end)."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document ready for the encoder."""

    text: str
    """The text that offsets refer to; pre-split words are joined by one space."""
    words: Sequence[tuple[int, int]]
    """Code point span of each word in the text."""
    windows: tuple[Window, ...]
    """At least one; together they own every word exactly once, in order."""
    tokens: int
    """Sub-words, without the start and end marks."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A document's sub-words before it is cut into windows."""

    ids: list[int]
    shapes: list[int]
    first: list[int]
    """Index of the first sub-word of each word."""


class DocumentEncoder:
    """Cuts documents into words, sub-words and windows. Safe to share by threads.

    Args:
        tokenizer: the sub-word tokeniser.
        spec: marks, limits and options from the bundle.
        splitter: cuts raw text into words.
    """

    def __init__(self, tokenizer: Tokenizer, spec: TokenizerSpec, splitter: WordSplitter) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._subwords = WordTokenizer(
            tokenizer,
            unknown=spec.unknown,
            most_pieces=spec.max_word_pieces,
            shapes=spec.shapes,
            spaced=spec.spaced,
        )
        self._spec = spec
        self._splitter = splitter
        self._room = spec.max_tokens - len(spec.prefix) - len(spec.suffix)

    def encode(self, source: Source) -> Document:
        """Encode one document.

        Raises:
            NoWordsError: the text has no visible word.
        """
        text, spans, words = self._split(source)
        if not words:
            raise NoWordsError
        pieces = self._pieces(words)
        return Document(text, spans, self._windows(pieces), len(pieces.ids))

    def _split(self, source: Source) -> tuple[str, Sequence[tuple[int, int]], list[str]]:
        if isinstance(source, str):
            spans = self._splitter.split(source)
            return source, spans, [source[start:end] for start, end in spans]
        return " ".join(source), _joined_spans(source), list(source)

    def _pieces(self, words: list[str]) -> Pieces:
        ids: list[int] = []
        shapes: list[int] = []
        first: list[int] = []
        for own_ids, own_shapes in self._subwords(words):
            first.append(len(ids))
            ids += own_ids
            shapes += own_shapes
        return Pieces(ids, shapes, first)

    def _windows(self, pieces: Pieces) -> tuple[Window, ...]:
        total = len(pieces.ids)
        if total <= self._room:
            return (self._window(pieces, 0, total, 0, len(pieces.first)),)
        bounds = [*pieces.first, total]
        cuts = window_words(bounds, self._room, self._spec.overlap)
        owned = _owned_words(bounds, cuts)
        return tuple(
            self._window(pieces, bounds[first], bounds[end], own_first, own_end)
            for (first, end), (own_first, own_end) in zip(cuts, owned, strict=True)
            if own_first < own_end  # between its neighbours a short one may be left with no word
        )

    def _window(self, pieces: Pieces, start: int, end: int, own_first: int, own_end: int) -> Window:
        spec = self._spec
        shift = len(spec.prefix) - start
        blank = [SHAPE_NONE]
        pool_end = pieces.first[own_end] if own_end < len(pieces.first) else end
        bounds = np.array([*pieces.first[own_first:own_end], pool_end], np.int32) + np.int32(shift)
        rows = bounds[:-1] if spec.word_piece == "first" else bounds[1:] - np.int32(1)
        return Window(
            ids=np.array([*spec.prefix, *pieces.ids[start:end], *spec.suffix], np.int32),
            shapes=np.array(
                blank * len(spec.prefix) + pieces.shapes[start:end] + blank * len(spec.suffix),
                np.int32,
            ),
            first=rows,
            pool=(int(bounds[0]), int(bounds[-1])),
        )


def _joined_spans(words: Sequence[str]) -> list[tuple[int, int]]:
    spans = []
    start = 0
    for word in words:
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return spans


def window_words(bounds: Sequence[int], room: int, overlap: int) -> list[tuple[int, int]]:
    """Cut words into windows of at most ``room`` sub-words that overlap by at most ``overlap``.

    Args:
        bounds: index of each word's first sub-word, and at the end the number of sub-words.
        room: sub-words in a window; no word may have more.
        overlap: sub-words shared by neighbours, less than ``room``.

    Returns:
        Word ranges [first, end) of the windows; every next one reaches further than the last.
    """
    words = len(bounds) - 1
    cuts: list[tuple[int, int]] = []
    first = end = 0
    while end < words:
        reached = end
        while end < words and bounds[end + 1] - bounds[first] <= room:
            end += 1
        if end == reached:  # the overlap leaves no room for the next word
            first = reached
            continue
        cuts.append((first, end))
        first = end
        while first > 0 and bounds[end] - bounds[first - 1] <= overlap:
            first -= 1
    return cuts


def _owned_words(bounds: Sequence[int], cuts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Share the words of each overlap between its windows, half and half by sub-words."""
    edges = [0]
    for (_, end), (start, _) in pairwise(cuts):
        middle = (bounds[start] + bounds[end]) / 2
        edges.append(next(word for word in range(start, end + 1) if bounds[word] >= middle))
    edges.append(len(bounds) - 1)
    return list(pairwise(edges))
