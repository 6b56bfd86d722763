"""Everything that the page says about one part of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead_training.prediction_counts import figure, label_figures, part_counts
from polyhead_training.report.confusion import Confusion, confusion
from polyhead_training.report.mistakes import Mistake, worst
from polyhead_training.report.scores import reliability
from polyhead_training.resampling import SAMPLES, interval, resampled_totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from polyhead_training.prediction_counts import Counts
    from polyhead_training.predictions import Part
    from polyhead_training.reliability import Reliability

_SEED = 0


@dataclass(frozen=True, slots=True)
class Value:
    """A figure with its 95 % interval over texts; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LabelRow:
    """The figures of one label."""

    label: str
    support: int
    """How often it is the gold label."""
    precision: Value
    recall: Value
    f1: Value


@dataclass(frozen=True, slots=True)
class Judged:
    """One part of a data set with all that was found out about the answers."""

    part: Part
    figures: dict[str, Value]
    """By the figure's name, the source's own first."""
    labels: list[LabelRow]
    confusion: Confusion
    reliability: Reliability | None
    mistakes: list[Mistake]


def judge(part: Part, samples: int = SAMPLES) -> Judged:
    """Measure a bundle's answers to a part."""
    counts = part_counts(part)
    own = counts[part.source.metric]
    return Judged(
        part,
        {metric: _value(metric, table, samples) for metric, table in counts.items()},
        _label_rows(part.labels, own, samples),
        confusion(part),
        reliability(part),
        worst(part),
    )


def decisive(judged: Iterable[Judged]) -> list[Judged]:
    """The part of each source that decides: its test data, or else its dev data."""
    found: dict[str, Judged] = {}
    for item in judged:
        if item.part.split == "test" or item.part.source.name not in found:
            found[item.part.source.name] = item
    return list(found.values())


def _value(metric: str, counts: Counts, samples: int) -> Value:
    low, high = interval(figure(metric, resampled_totals(counts, samples, _SEED)))
    return Value(float(figure(metric, counts.sum(axis=0))), float(low), float(high))


def _label_rows(labels: Sequence[str], counts: Counts, samples: int) -> list[LabelRow]:
    totals = counts.sum(axis=0)
    exact = label_figures(totals)
    low, high = interval(label_figures(resampled_totals(counts, samples, _SEED)))
    return [
        LabelRow(
            label,
            int(totals[0, n]),
            *(
                Value(float(exact[row, n]), float(low[row, n]), float(high[row, n]))
                for row in range(3)
            ),
        )
        for n, label in enumerate(labels)
        if totals[:2, n].any()
    ]
