"""Counters and histograms for what is counted several times a call, by one thread.

Those of the client library take a lock for each number. These are plain numbers, read as they are
when somebody asks for the metrics; all that writes them is the event loop.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

Child = TypeVar("Child")
Bucket = tuple[str, float] | tuple[str, float, Exemplar]


class Count:
    """A number that grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self, by: int = 1) -> None:
        """Add to it."""
        self.value += by


class Spread:
    """How often something was how much.

    Args:
        bounds: upper bounds of the buckets, ascending.
    """

    __slots__ = ("_bounds", "_exemplars", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._exemplars: dict[int, Exemplar] = {}
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        """Take note of one amount; an exemplar's labels lead to what it was."""
        bucket = bisect_left(self._bounds, amount)
        self.counts[bucket] += 1
        self.sum += amount
        if exemplar:
            self._exemplars[bucket] = Exemplar(dict(exemplar), amount, time.time())

    def buckets(self) -> list[Bucket]:
        """Bound, amounts up to it, and where there is one the last exemplar, for each bucket."""
        pairs = cumulated(self._bounds, self.counts)
        exemplars = map(self._exemplars.get, range(len(pairs)))
        return [
            (*pair, exemplar) if exemplar else pair
            for pair, exemplar in zip(pairs, exemplars, strict=True)
        ]


def cumulated(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Bound, and amounts up to it, for each bucket; there is one more of them than bounds."""
    names = (*map(str, bounds), "+Inf")
    return list(zip(names, accumulate(counts), strict=True))


class _Family(Collector, Generic[Child]):
    """Children by the values of labels."""

    def __init__(
        self, names: tuple[str, ...], make: Callable[[], Child], registry: CollectorRegistry
    ) -> None:
        self._children: dict[tuple[str, ...], Child] = {}
        self._make = make
        if not names:
            self.labels()
        registry.register(self)

    def labels(self, *values: str) -> Child:
        """The child with these values; there is one from now on."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = self._make()
        return child

    def remove(self, *values: str) -> None:
        """Tell of a child no more, if there is one."""
        self._children.pop(values, None)

    def describe(self) -> Iterable[Metric]:
        """Names, for the registry."""
        return self._told({})

    def collect(self) -> Iterable[Metric]:
        """What the registry asks for, from any thread."""
        return self._told(dict(self._children))

    def _told(self, children: Mapping[tuple[str, ...], Child]) -> Iterable[Metric]:
        raise NotImplementedError


class Counts(_Family[Count]):
    """Counters by the values of labels.

    Args:
        name: ends in _total.
        text: its help.
        labels: names.
        registry: where to register.
    """

    def __init__(
        self, name: str, text: str, labels: tuple[str, ...], registry: CollectorRegistry
    ) -> None:
        self._about = (name, text, labels)
        super().__init__(labels, Count, registry)

    def _told(self, children: Mapping[tuple[str, ...], Count]) -> Iterable[Metric]:
        name, text, labels = self._about
        family = CounterMetricFamily(name, text, labels=labels)
        for values, count in children.items():
            family.add_metric(values, count.value)
        return (family,)


class Spreads(_Family[Spread]):
    """Histograms by the values of labels.

    Args:
        name: its name.
        text: its help.
        bounds: upper bounds of the buckets, ascending.
        labels: names.
        registry: where to register.
    """

    def __init__(
        self,
        name: str,
        text: str,
        bounds: tuple[float, ...],
        labels: tuple[str, ...],
        registry: CollectorRegistry,
    ) -> None:
        self._about = (name, text, labels)
        upper = tuple(map(float, bounds))
        super().__init__(labels, lambda: Spread(upper), registry)

    def _told(self, children: Mapping[tuple[str, ...], Spread]) -> Iterable[Metric]:
        name, text, labels = self._about
        family = HistogramMetricFamily(name, text, labels=labels)
        for values, spread in children.items():
            family.add_metric(values, spread.buckets(), spread.sum)
        return (family,)
