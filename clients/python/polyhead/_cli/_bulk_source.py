"""From rows to outcomes, over a client's bulk stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyhead._cli._inputs import Entry, Item
from polyhead._client_stream import PolledSource

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from polyhead import Outcome
    from polyhead._calls import SyncCalls


class _Source(PolledSource):
    """Rows as items of a stream; keeps those on their way, and no others.

    What cannot be read is an item that the client refuses, so that it keeps its place.
    """

    def __init__(self, items: Iterable[Item], ready: Callable[[], bool]) -> None:
        self._rest = enumerate(items)
        self._ready = ready
        self.kept: dict[int, Item] = {}

    def __next__(self) -> Any:
        index, item = next(self._rest)
        self.kept[index] = item
        return (item.id, item.document) if isinstance(item, Entry) else ("", None)

    def ready(self) -> bool:
        return self._ready()


def outcomes(
    client: SyncCalls,
    items: Iterable[Item],
    tasks: Sequence[str] | None,
    options: argparse.Namespace,
    ready: Callable[[], bool] = lambda: True,
) -> Iterator[tuple[Item, Outcome]]:
    """Annotate rows, each with its outcome and in their order.

    Args:
        client: The client.
        items: The rows.
        tasks: The tasks; None: every one.
        options: Have the unit of offsets and the priority.
        ready: Says whether the next row is there without waiting.
    """
    source = _Source(items, ready)
    found = client.annotate_stream(
        source, tasks, ordered=True, offset_unit=options.offset_unit, priority=options.priority
    )
    for outcome in found:
        yield source.kept.pop(outcome.index), outcome
