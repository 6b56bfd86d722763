"""One network for all tasks against networks for single tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from polyhead_server.bundle import MANIFEST
from polyhead_training.compare import comparisons
from polyhead_training.errors import TrainingError
from polyhead_training.predict_engine import load_model
from polyhead_training.predictions import counted_labels, predictions
from polyhead_training.report.history import read_history
from polyhead_training.resampling import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from polyhead_server.bundle import Bundle
    from polyhead_training.compare import Comparison
    from polyhead_training.config import Config
    from polyhead_training.data import SourceData
    from polyhead_training.predictions import Part
    from polyhead_training.report.judged import Judged


_SAME = ("head", "source", "split", "metric", "count")
"""What a noted figure has in common with one that it is compared with."""


@dataclass(frozen=True, slots=True)
class Gap:
    """One figure of the shared network and of one for a single task."""

    name: str
    """Of the single-task network."""
    head: str
    source: str
    split: str
    metric: str
    single: float
    """From 0 to 1."""
    multi: float
    low: float | None = None
    """The 95 % interval of multi less single; None where `single` was only noted in training."""
    high: float | None = None
    p: float | None = None


def gaps(
    singles: Sequence[tuple[str, Path]],
    multi: Bundle,
    config: Config,
    data: Mapping[str, SourceData],
    judged: Sequence[Judged],
) -> list[Gap]:
    """Measure single-task bundles on the same data; of run directories take the noted figures.

    Args:
        singles: names, and bundles or run directories.
        multi: the bundle with all tasks.
        config: the measured configuration.
        data: its data.
        judged: what the bundle made of them.

    Raises:
        TrainingError: one of them is neither a bundle nor a run directory, or has none of the
            bundle's figures.
    """
    found: list[Gap] = []
    for name, path in singles:
        if (path / MANIFEST).exists():
            pairs = _answers(path, multi, config, data, judged)
            new = [
                _measured(name, item)
                for ours, its in pairs
                for item in comparisons(its, ours, SAMPLES)
            ]
        else:
            new = _noted(name, path, judged)
        if not new:
            raise TrainingError(
                f"{path} ({name}) has no figure of a head of the bundle on the same data"
            )
        found += new
    return found


def _answers(
    single: Path,
    multi: Bundle,
    config: Config,
    data: Mapping[str, SourceData],
    judged: Sequence[Judged],
) -> list[tuple[Part, Part]]:
    """The answers of both to the data of heads whose labels they share."""
    ours = {item.part.key: item.part for item in judged}
    known = {item.part.source.name: item.part.labels for item in judged}
    model = load_model(single)
    labels = {
        source.name: counted_labels(config, source, (multi, model.bundle))
        for source in config.sources
    }
    shared = tuple(s for s in config.sources if labels[s.name] == known.get(s.name))
    settings = replace(config, sources=shared)
    found = list(predictions(model, settings, data, lambda source: labels[source.name]))
    model.close()
    return [(ours[part.key], part) for part in found]


def _measured(name: str, item: Comparison) -> Gap:
    return Gap(
        name,
        item.head,
        item.source,
        item.split,
        item.metric,
        single=item.a,
        multi=item.b,
        low=item.low,
        high=item.high,
        p=item.p,
    )


def _noted(name: str, path: Path, judged: Sequence[Judged]) -> list[Gap]:
    """The run's figures of the same head on as many texts: others are of other data."""
    noted = {
        tuple(item.get(key) for key in _SAME): float(item["value"])
        for item in read_history(path).figures
    }
    found = []
    for part, figures in ((item.part, item.figures) for item in judged):
        for metric, value in figures.items():
            names = (part.source.head, *part.key, metric)
            single = noted.get((*names, len(part.examples)))
            if single is not None:
                found.append(Gap(name, *names, single, value.value))
    return found
