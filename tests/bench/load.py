"""Prepared request bytes of the API, without what carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead.v1.annotation_service_pb2 import AnnotateRequest
from polyhead.v1.document_pb2 import Document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.texts import Corpus


@dataclass(frozen=True, slots=True)
class Call:
    """One prepared request."""

    body: bytes
    texts: int
    tokens: int


def prepare(corpus: Corpus, size: int, tasks: Sequence[str]) -> list[Call]:
    """Requests of so many texts each."""
    pairs = list(zip(corpus.texts, corpus.tokens, strict=True))
    groups = [pairs[at : at + size] for at in range(0, len(pairs) - size + 1, size)]
    return [
        Call(
            AnnotateRequest(
                documents=[Document(text=text) for text, _ in group], tasks=tasks
            ).SerializeToString(),
            len(group),
            sum(tokens for _, tokens in group),
        )
        for group in groups
    ]
