"""One set of metrics for all workers, those that have ended included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import Metric

from polyhead_server.workers.snapshot import families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.samples import Exemplar, Sample

    from polyhead_server.workers.snapshot import Snapshot

_LASTING = ("counter", "histogram", "summary")
"""Types whose samples only ever grow: they outlive their worker."""
_OF_PROCESSES = ("process_", "python_")
"""What is about a process, not about the service, is told for each worker apart."""
_LARGEST = ("_info", "_seconds", "_ratio")
"""Ends of the names of gauges that mean nothing when added up."""

_Key = tuple[str, tuple[tuple[str, str], ...]]


class Sum:
    """Adds up families of the same name; of some gauges it takes the largest instead."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}
        self._samples: dict[str, dict[_Key, Sample]] = {}

    def add(self, family: Metric) -> None:
        """Count a family in."""
        if family.name not in self._families:
            self._families[family.name] = Metric(
                family.name, family.documentation, family.type, family.unit
            )
        sums = self._samples.setdefault(family.name, {})
        largest = family.type == "gauge" and family.name.endswith(_LARGEST)
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            known = sums.get(key)
            sums[key] = sample if known is None else _joined(known, sample, largest=largest)

    def families(self) -> list[Metric]:
        """The sums."""
        for name, family in self._families.items():
            family.samples = list(self._samples[name].values())
        return list(self._families.values())


class Totals:
    """The metrics of a group of workers, and the registry that serves them.

    Args:
        read: gives the families of all workers, summed; called from any thread, for each reader.
    """

    def __init__(self, read: Callable[[], list[Metric]]) -> None:
        self._read = read
        self._ended: list[Metric] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.workers = Gauge("polyhead_workers", "Workers that are ready.", registry=self.registry)
        self.restarts = Counter(
            "polyhead_worker_restarts_total",
            "Workers started in place of ones that ended.",
            registry=self.registry,
        )

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for."""
        yield from self._read()

    def keep(self, last: Snapshot) -> None:
        """Count on what a worker that has ended had counted."""
        total = Sum()
        for family in (*self._ended, *families(last)):
            if family.type in _LASTING and not family.name.startswith(_OF_PROCESSES):
                total.add(family)
        self._ended = total.families()

    def with_live(self, live: Mapping[int, Snapshot]) -> list[Metric]:
        """The families of workers that have ended and of those that are there, by index."""
        total = Sum()
        for family in self._ended:
            total.add(family)
        for worker, snapshot in sorted(live.items()):
            for family in families(snapshot):
                if family.name.startswith(_OF_PROCESSES):
                    family.samples = [_labelled(sample, worker) for sample in family.samples]
                total.add(family)
        return total.families()


def _labelled(sample: Sample, worker: int) -> Sample:
    return sample._replace(labels={**sample.labels, "worker": str(worker)})


def _joined(known: Sample, other: Sample, *, largest: bool) -> Sample:
    if largest:
        return max(known, other, key=lambda sample: sample.value)
    exemplar = _later(known.exemplar, other.exemplar)
    return known._replace(value=known.value + other.value, exemplar=exemplar)


def _later(one: Exemplar | None, other: Exemplar | None) -> Exemplar | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda exemplar: exemplar.timestamp or 0.0)
