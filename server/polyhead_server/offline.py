"""A model at work on texts of any number without a server, in the caller's thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from polyhead_server.encoding import Document
    from polyhead_server.heads import HeadOutput
    from polyhead_server.model import Job, Model, WindowOutput

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Piece:
    """One window of one document."""

    document: int
    place: int
    job: Job


def packed(items: Iterable[T], tokens: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Batches whose items lie behind each other, in the order given.

    Args:
        items: what to cut up.
        tokens: the tokens of an item.
        most: tokens of a batch; an item with more has a batch of its own.
    """
    batch: list[T] = []
    held = 0
    for item in items:
        size = tokens(item)
        if batch and held + size > most:
            yield batch
            batch, held = [], 0
        batch.append(item)
        held += size
    if batch:
        yield batch


def annotate_documents(
    model: Model, documents: Sequence[Document], tasks: Sequence[str], batch_tokens: int
) -> list[Mapping[str, HeadOutput]]:
    """Run tasks on documents, in batches of windows of like length.

    Args:
        model: the loaded bundle.
        documents: of any number; all their outputs are held in memory.
        tasks: names of heads.
        batch_tokens: tokens of a batch; a longer window runs alone.

    Returns:
        For each document its results by task.
    """
    pieces = [
        _Piece(number, place, job)
        for number, document in enumerate(documents)
        for place, job in enumerate(model.jobs(document, tasks))
    ]
    pieces.sort(key=lambda piece: piece.job.tokens)
    found: list[dict[int, WindowOutput]] = [{} for _ in documents]
    for batch in packed(pieces, lambda piece: piece.job.tokens, batch_tokens):
        outputs = model.run([piece.job for piece in batch]).outputs
        for piece, output in zip(batch, outputs, strict=True):
            found[piece.document][piece.place] = output
    return [
        model.finish(document, [output for _, output in sorted(own.items(), key=_place)], tasks)
        for document, own in zip(documents, found, strict=True)
    ]


def _place(item: tuple[int, WindowOutput]) -> int:
    return item[0]
