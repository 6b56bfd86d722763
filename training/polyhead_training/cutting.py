"""Cutting texts into batches of a bounded number of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")


def padded(items: Iterable[T], tokens: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Batches whose items are all padded to the longest.

    Args:
        items: what to cut up, the shortest first.
        tokens: the tokens of an item.
        most: tokens of a batch with its padding; an item with more has a batch of its own.
    """
    batch: list[T] = []
    for item in items:
        if batch and (len(batch) + 1) * tokens(item) > most:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
