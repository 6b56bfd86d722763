"""Documents run once: what is kept is given again, what another call has under way is waited for.

The first call that misses a document leads: it runs it as it would without a cache, with its own
deadline, and can be cancelled. Others join. Where the leader comes to nothing, they look again,
and one of them leads; after a few such losses each goes alone.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from polyhead_server.cache import Cache, CacheMetrics, key_of
from polyhead_server.errors import DeadlineExceededError
from polyhead_server.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from prometheus_client import CollectorRegistry

    from polyhead_server.cache import Outputs
    from polyhead_server.encoding import Document

    Fresh = Callable[[Sequence[Document]], Awaitable[tuple[Sequence[Outputs], Timings]]]

_MEBIBYTE = 1 << 20
_MOST_JOINS = 2
"""Leaders that a call loses before it relies on none any more."""


class Observer(Protocol):
    """Is told of callers whose answer comes too late."""

    def cancelled(self) -> None:
        """A caller went away before its answer was there."""

    def expired(self) -> None:
        """A call's deadline passed before its answer was there."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call wants of its documents."""

    bundle: str
    """Identity of the bundle that is to read them."""
    tasks: frozenset[str]
    deadline: float
    """Event loop time after which the answer is of no use."""
    patient: bool
    """Whether it leaves room to those who are not."""


@dataclass(frozen=True, slots=True, eq=False)
class _Flight:
    """A document that a call has under way."""

    key: bytes
    wish: Wish
    landed: asyncio.Future[Outputs | None]
    """The results; None where the call came to nothing."""

    def serves(self, wish: Wish, now: float) -> bool:
        """Whether it is worth joining: of use, no slower, and with enough of the time to go."""
        return (
            wish.tasks <= self.wish.tasks
            and (wish.patient or not self.wish.patient)
            and self.wish.deadline - now >= (wish.deadline - now) / 2
        )


class _Round:
    """One attempt at the documents of a call that have no results yet."""

    def __init__(self) -> None:
        self.leads: dict[int, _Flight] = {}
        self.joins: dict[int, _Flight] = {}


class Recall:
    """Gives documents their results, from memory where it can. Belongs to one event loop.

    Args:
        cache: keeps results.
        metrics: counts documents.
        observer: is told of waits in vain.
    """

    def __init__(self, cache: Cache, metrics: CacheMetrics, observer: Observer) -> None:
        self._cache = cache
        self._metrics = metrics
        self._observer = observer
        self._flights: dict[bytes, _Flight] = {}

    async def run(
        self, documents: Sequence[Document], wish: Wish, fresh: Fresh
    ) -> tuple[list[Outputs], Timings]:
        """Results of documents.

        Args:
            documents: the documents.
            wish: what is wanted of them.
            fresh: runs documents without memory, with the same deadline; what it raises is raised.

        Returns:
            For each document the results of the tasks asked for, perhaps of others too; and where
            the time went: waiting for other calls counts as waiting in the queue.

        Raises:
            DeadlineExceededError: the deadline passed.
        """
        keys = [key_of(document, wish.bundle) for document in documents]
        found: list[Outputs | None] = [None] * len(documents)
        timings = Timings()
        lost = 0
        while missing := [index for index, outputs in enumerate(found) if outputs is None]:
            attempt = self._sort(missing, keys, wish, found, join=lost < _MOST_JOINS)
            if attempt.leads:
                timings += await self._lead(attempt.leads, documents, found, fresh)
            if attempt.joins:
                timings += await self._await(attempt.joins, wish.deadline, found)
            lost += 1
        return [outputs for outputs in found if outputs is not None], timings

    def _sort(
        self,
        missing: Iterable[int],
        keys: Sequence[bytes],
        wish: Wish,
        found: list[Outputs | None],
        *,
        join: bool,
    ) -> _Round:
        """Take what is kept, and find out which of the rest to lead and which to join."""
        attempt = _Round()
        now = asyncio.get_running_loop().time()
        for index in missing:
            key = keys[index]
            found[index] = self._cache.find(key, wish.tasks)
            if found[index] is not None:
                self._metrics.hits.inc()
                continue
            flight = self._flights.get(key)
            if join and flight is not None and flight.serves(wish, now):
                attempt.joins[index] = flight
            else:
                attempt.leads[index] = self._open(key, wish)
        return attempt

    def _open(self, key: bytes, wish: Wish) -> _Flight:
        self._metrics.misses.inc()
        flight = _Flight(key, wish, asyncio.get_running_loop().create_future())
        self._flights[key] = flight
        return flight

    async def _lead(
        self,
        leads: dict[int, _Flight],
        documents: Sequence[Document],
        found: list[Outputs | None],
        fresh: Fresh,
    ) -> Timings:
        try:
            results, timings = await fresh([documents[index] for index in leads])
            for (index, flight), outputs in zip(leads.items(), results, strict=True):
                found[index] = self._cache.keep(flight.key, outputs)
                flight.landed.set_result(found[index])
        finally:
            for flight in leads.values():
                self._close(flight)
        return timings

    def _close(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        if not flight.landed.done():
            flight.landed.set_result(None)

    async def _await(
        self, joins: dict[int, _Flight], deadline: float, found: list[Outputs | None]
    ) -> Timings:
        start = time.perf_counter()
        landed = {flight.landed for flight in joins.values()}
        left = deadline - asyncio.get_running_loop().time()
        try:
            _, late = await asyncio.wait(landed, timeout=None if math.isinf(left) else max(0, left))
        except asyncio.CancelledError:
            self._observer.cancelled()
            raise
        if late:
            self._observer.expired()
            raise DeadlineExceededError
        for index, flight in joins.items():
            found[index] = flight.landed.result()
            self._metrics.shared.inc(found[index] is not None)
        return Timings(queue=time.perf_counter() - start)


def open_recall(mebibytes: int, registry: CollectorRegistry, observer: Observer) -> Recall | None:
    """A memory of so many MiB; None for none. Its metrics are there either way."""
    metrics = CacheMetrics(registry)
    if not mebibytes:
        return None
    return Recall(Cache(mebibytes * _MEBIBYTE, metrics), metrics, observer)
