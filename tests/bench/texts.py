"""Texts to measure with: of an exact number of encoder tokens, or as long as news texts are."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from polyhead_server.encoding import Document, Source

    Tokenize = Callable[[Source], Document]

NEWS_QUANTILES = (18, 32, 36, 41, 44, 47, 50, 53, 56, 60, 65, 72, 95)
"""Tokens of AG News test texts at 0, 5, 10, 20, ..., 90, 95 and 99 %."""
_NEWS_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

_WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "a",
    "is",
    "that",
    "for",
    "it",
    "was",
    "on",
    "are",
    "as",
    "with",
    "they",
    "at",
    "be",
    "this",
    "from",
    "have",
    "or",
    "by",
    "one",
    "had",
    "not",
    "but",
    "what",
    "all",
    "were",
    "when",
    "we",
    "there",
    "can",
    "an",
    "your",
    "which",
    "their",
    "said",
    "if",
    "do",
    "will",
    "each",
    "about",
    "how",
    "up",
    "out",
    "them",
    "then",
    "she",
    "many",
    "some",
    "so",
    "these",
    "would",
    "other",
    "into",
    "has",
    "more",
    "her",
    "two",
    "like",
    "him",
    "see",
    "time",
    "could",
    "no",
    "make",
    "than",
    "first",
    "been",
    "its",
    "who",
    "now",
    "people",
    "my",
    "made",
    "over",
    "did",
    "down",
    "only",
    "way",
    "find",
    "use",
    "may",
    "water",
    "long",
    "little",
    "very",
    "after",
    "words",
    "called",
    "just",
    "where",
    "most",
    "know",
    "market",
    "company",
    "shares",
    "Berlin",
    "London",
    "president",
    "minister",
    "game",
    "season",
    "team",
    "players",
    "coach",
    "prices",
    "oil",
    "bank",
    "software",
    "internet",
    "Google",
    "Apple",
    "court",
    "police",
    "government",
    "talks",
    "peace",
    "election",
    "Monday",
    "Tuesday",
    "Friday",
    "report",
]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts of one kind with their token counts."""

    name: str
    texts: tuple[str, ...]
    documents: tuple[Document, ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens that the encoder sees of each text, marks included."""
        return tuple(sum(len(w.ids) for w in doc.windows) for doc in self.documents)


def exact(tokenize: Tokenize, tokens: int, count: int, seed: int = 1) -> Corpus:
    """Made-up texts of so many tokens each."""
    rng = random.Random(seed)
    return _corpus(
        tokenize, f"{tokens} tokens", [_text(tokenize, tokens, rng) for _ in range(count)]
    )


def news(tokenize: Tokenize, count: int, file: Path | None, seed: int = 1) -> Corpus:
    """News texts from a JSONL file, or made-up ones whose lengths are spread like theirs."""
    rng = random.Random(seed)
    if file is not None:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            found = [json.loads(line)["text"] for line in lines]
        return _corpus(tokenize, "news", rng.sample(found, count))
    lengths = [_news_length(rng.random()) for _ in range(count)]
    return _corpus(tokenize, "news lengths", [_text(tokenize, length, rng) for length in lengths])


def _news_length(share: float) -> int:
    for at in range(1, len(_NEWS_SHARES)):
        low, high = _NEWS_SHARES[at - 1 : at + 1]
        if share <= high:
            part = (share - low) / (high - low)
            span = NEWS_QUANTILES[at] - NEWS_QUANTILES[at - 1]
            return round(NEWS_QUANTILES[at - 1] + part * span)
    return NEWS_QUANTILES[-1]


def _text(tokenize: Tokenize, tokens: int, rng: random.Random) -> str:
    words = rng.choices(_WORDS, k=tokens)
    while len(tokenize(" ".join(words)).windows[0].ids) > tokens:
        words.pop()
    while len(tokenize(" ".join(words)).windows[0].ids) < tokens:
        words.append("the")
    return " ".join(words)


def _corpus(tokenize: Tokenize, name: str, texts: list[str]) -> Corpus:
    return Corpus(name, tuple(texts), tuple(tokenize(text) for text in texts))
