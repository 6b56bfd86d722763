"""How good an added head is, and how sure that is: figures with 95 % intervals over texts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from polyhead_training.prediction_counts import figure, label_figures, part_counts
from polyhead_training.resampling import SAMPLES, interval, resampled_totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from polyhead_training.add_head import AddedHead
    from polyhead_training.config_types import Metric
    from polyhead_training.prediction_counts import Counts
    from polyhead_training.predictions import Part

_SEED = 0


@dataclass(frozen=True, slots=True)
class HeadFigure:
    """One figure with its 95 % interval, by the bootstrap over texts; each from 0 to 1."""

    metric: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """Figures of one label; NaN where one is not defined."""

    label: str
    count: int
    """Times that it is right."""
    precision: float
    recall: float
    f1: float
    low: float
    """Of the F1's 95 % interval."""
    high: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a head makes of texts that it has not seen."""

    data_set: str
    split: str
    count: int
    """Texts."""
    figures: tuple[HeadFigure, ...]
    labels: tuple[LabelFigures, ...]

    def rows(self) -> list[dict[str, Any]]:
        """The figures for the manifest."""
        facts = {"data_set": self.data_set, "split": self.split, "count": self.count}
        return [{**facts, **_rounded(asdict(item))} for item in self.figures]

    def label_rows(self) -> list[dict[str, Any]]:
        """The labels' figures for the manifest."""
        return [_rounded(asdict(item)) for item in self.labels]


def judge_head(part: Part, metrics: Sequence[Metric], samples: int = SAMPLES) -> Judgement:
    """Measure a head's answers.

    Args:
        part: the answers, one at least.
        metrics: what to measure of the answers by the data's own words; the first is the source's.
        samples: resamples of the texts.
    """
    counts = part_counts(part)
    own = counts.pop(metrics[0])
    figures = [_figure(metric, own, samples) for metric in metrics]
    figures += [_figure(metric, table, samples) for metric, table in counts.items()]
    labels = _labels(part.labels, own, samples)
    name = part.source.name
    return Judgement(name, part.split, len(part.examples), tuple(figures), tuple(labels))


def print_head(console: Console, added: AddedHead) -> None:
    """Print an added head's figures."""
    judged = added.judgement
    title = f"{added.spec.name} on {judged.count:,} texts ({judged.data_set} {judged.split}), in %"
    table = Table("measure", title=title)
    for name in ("value", "95 % interval"):
        table.add_column(name, justify="right")
    for item in judged.figures:
        table.add_row(item.metric, _percent(item.value), _range(item.low, item.high))
    console.print(table)
    console.print(_label_table(judged.labels))
    for line in _remarks(added):
        console.print(line, soft_wrap=True, markup=False)


def facts_of(added: AddedHead) -> dict[str, Any]:
    """Everything about an added head, as JSON knows it."""
    return {
        "name": added.spec.name,
        "kind": added.spec.kind,
        "labels": list(added.spec.labels),
        "bundle": str(added.bundle),
        "texts": added.counts,
        "untrained": list(added.untrained),
        "leaked": added.leaked,
        "figures": added.judgement.rows(),
        "label_figures": added.judgement.label_rows(),
        "calibration": asdict(added.calibration) if added.calibration else None,
        "feature_seconds": round(added.feature_seconds, 2),
        "fit_seconds": round(added.fit_seconds, 2),
        "seconds": round(added.seconds, 2),
    }


def _label_table(labels: Sequence[LabelFigures]) -> Table:
    table = Table("label")
    for name in ("count", "precision", "recall", "F1", "95 % interval"):
        table.add_column(name, justify="right")
    for item in labels:
        values = (_percent(value) for value in (item.precision, item.recall, item.f1))
        table.add_row(item.label, f"{item.count:,}", *values, _range(item.low, item.high))
    return table


def _remarks(added: AddedHead) -> list[str]:
    known = added.calibration
    lines = (
        [
            f"calibration error on {error.split}: {_percent(error.before)} % at temperature 1, "
            f"{_percent(error.after)} % at {known.temperature:.3f} ({error.count:,} answers)"
            for error in known.errors
        ]
        if known
        else []
    )
    if added.untrained:
        lines.append(f"warning: no training text has the label {', '.join(added.untrained)}")
    if added.leaked:
        lines.append(
            f"warning: {added.leaked:,} training texts are among the measured ones, too, or "
            "nearly: the figures flatter"
        )
    counts = added.counts
    texts = (
        f"{counts['train']:,} texts to train on, {counts['dev']:,} to choose by, "
        f"{counts['test']:,} to measure on"
    )
    times = (
        f"{sum(counts.values()):,} texts encoded in {added.feature_seconds:.1f} s, fitted in "
        f"{added.fit_seconds:.1f} s, {added.seconds:.1f} s in all"
    )
    bundle = f"bundle: {added.bundle}"
    serve = f"serve it: polyhead-server serve --bundle {added.bundle}"
    return [*lines, texts, times, bundle, serve]


def _figure(metric: str, counts: Counts, samples: int) -> HeadFigure:
    low, high = interval(figure(metric, resampled_totals(counts, samples, _SEED)))
    return HeadFigure(metric, float(figure(metric, counts.sum(axis=0))), float(low), float(high))


def _labels(names: Sequence[str], counts: Counts, samples: int) -> list[LabelFigures]:
    totals = counts.sum(axis=0)
    exact = label_figures(totals)
    low, high = interval(label_figures(resampled_totals(counts, samples, _SEED))[:, 2])
    found = zip(names, totals[0], *exact, low, high, strict=True)
    return [
        LabelFigures(name, int(count), *(float(value) for value in values))
        for name, count, *values in found
    ]


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Five digits, as figures have; None where there is no number, which JSON does not know."""
    return {
        name: (round(value, 5) if value == value else None)  # noqa: PLR0124 - NaN differs from itself
        if isinstance(value, float)
        else value
        for name, value in values.items()
    }


def _percent(value: float) -> str:
    return f"{100 * value:.2f}" if value == value else "-"  # noqa: PLR0124 - NaN


def _range(low: float, high: float) -> str:
    return f"{_percent(low)} to {_percent(high)}"
