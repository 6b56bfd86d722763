"""Finds the place of each word in the text it was split from."""

from collections.abc import Sequence
from itertools import pairwise

from polyhead_training.data.examples import Span


def token_spans(text: str, tokens: Sequence[str]) -> list[Span] | None:
    """Code point span of each token in `text`; None unless they spell it, whitespace apart."""
    spans: list[Span] = []
    at, size = 0, len(text)
    for token in tokens:
        while at < size and text[at].isspace() and not text.startswith(token, at):
            at += 1
        if not token or not text.startswith(token, at):
            return None
        spans.append((at, at + len(token)))
        at += len(token)
    return None if text[at:].strip() else spans


def split_span(span: Span, words: Sequence[str]) -> list[Span]:
    """Divide the span of one surface token among its words by their lengths in characters.

    Exact where the words spell the token (do|n't). Otherwise the nearest character bounds in the
    words' proportion, and words share a place only where there are fewer characters than words.
    """
    start, end = span
    size = end - start
    total = sum(map(len, words)) or 1
    bounds, seen = [start], 0
    for word in words:
        seen += len(word)
        bounds.append(start + round(size * seen / total))
    if size < len(words):
        return [span] * len(words)
    return _without_empty(bounds)


def _without_empty(bounds: list[int]) -> list[Span]:
    """Move bounds apart so that each span has one character at least; there must be room."""
    count = len(bounds) - 1
    for index in range(1, count):
        lowest = bounds[index - 1] + 1
        highest = bounds[-1] - (count - index)
        bounds[index] = min(max(bounds[index], lowest), highest)
    return list(pairwise(bounds))
