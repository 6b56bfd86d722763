"""The metrics of one process at one moment, as plain lists that go through JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import CollectorRegistry

Snapshot = list[list[Any]]
"""For each family: name, help, type, unit, and samples of name, labels, value and exemplar."""

_MADE = "_created"


def take(registry: CollectorRegistry) -> Snapshot:
    """The families of a registry."""
    return [
        [family.name, family.documentation, family.type, family.unit, _samples(family)]
        for family in registry.collect()
    ]


def families(snapshot: Snapshot) -> list[Metric]:
    """The families of a snapshot."""
    found = []
    for name, documentation, kind, unit, samples in snapshot:
        family = Metric(name, documentation, kind, unit)
        family.samples = [_sample(*sample) for sample in samples]
        found.append(family)
    return found


def _samples(family: Metric) -> list[list[Any]]:
    return [
        [sample.name, sample.labels, sample.value, _plain(sample.exemplar)]
        for sample in family.samples
        if not sample.name.endswith(_MADE)
    ]


def _plain(exemplar: Exemplar | None) -> list[Any] | None:
    return None if exemplar is None else [exemplar.labels, exemplar.value, exemplar.timestamp]


def _sample(
    name: str, labels: dict[str, str], value: float, exemplar: Sequence[Any] | None
) -> Sample:
    return Sample(name, labels, value, None, None if exemplar is None else Exemplar(*exemplar))
