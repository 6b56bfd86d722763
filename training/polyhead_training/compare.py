"""Two bundles on the same data: what differs, and whether that can be chance."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from polyhead_training.config import load_config
from polyhead_training.console import open_console
from polyhead_training.data import load_all
from polyhead_training.predict_engine import load_model
from polyhead_training.prediction_counts import figure, part_counts
from polyhead_training.predictions import (
    counted_labels,
    head_of,
    measured_config,
    own_config,
    predictions,
)
from polyhead_training.resampling import (
    holm,
    interval,
    mcnemar_p,
    randomisation_p,
    resampled_totals,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from polyhead_server.bundle import Bundle
    from polyhead_training.config import Config
    from polyhead_training.data import SourceData
    from polyhead_training.prediction_counts import Counts
    from polyhead_training.predictions import Part

LEVEL = 0.05
_SEED = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of two bundles on the same texts."""

    head: str
    source: str
    split: str
    metric: str
    count: int
    """Texts."""
    a: float
    """From 0 to 1."""
    b: float
    difference: float
    """b less a."""
    low: float
    """The 95 % interval of the difference, by the paired bootstrap over texts."""
    high: float
    p: float
    """Of the difference, by approximate randomisation over texts."""
    mcnemar_p: float | None
    """McNemar's exact test, where texts are right or wrong and accuracy is the figure."""


@dataclass(frozen=True, slots=True)
class Both:
    """Two bundles' answers to the same data."""

    a: Bundle
    b: Bundle
    config: Config
    pairs: Sequence[tuple[Part, Part]]
    left_out: Sequence[str]
    """What only one of them has, in words."""


def compare(
    a: Path, b: Path, data: Path, config: Path | None, *, samples: int, as_json: bool
) -> None:
    """Print the figures of two bundles side by side, with significance.

    Args:
        a: one bundle.
        b: the other.
        data: directory that the configuration's file names are relative to.
        config: configuration with the data; None for that of the first bundle that knows its own.
        samples: resamples.
        as_json: print one JSON object instead of a table.

    Raises:
        InputError: configuration or data have errors.
        TrainingError: a bundle cannot be read, or there is nothing to compare.
    """
    both = answers_of_both(a, b, data, config)
    found = [item for pair in both.pairs for item in comparisons(*pair, samples)]
    together = holm([item.p for item in found], LEVEL)
    if as_json:
        _print_json(both, found, together, samples)
    else:
        _print_table(both, found, together, samples)


def answers_of_both(a: Path, b: Path, data: Path, config: Path | None) -> Both:
    """Ask two bundles about the data of a configuration, one after the other."""
    first = load_model(a)
    second = load_model(b)
    bundles = (first.bundle, second.bundle)
    given = load_config(config) if config else None
    settings = measured_config(given, bundles)
    wanted = {source.name: counted_labels(settings, source, bundles) for source in settings.sources}
    sources = load_all(settings, data)
    parts: list[list[Part]] = []
    with _bar() as bar:
        for model in (first, second):
            count = sum(bool(getattr(s, n)) for s in sources.values() for n in ("dev", "test"))
            found = predictions(model, settings, sources, lambda source: wanted[source.name])
            parts.append(list(bar.track(found, count, description=model.bundle.name)))
            model.close()
    whole = given or own_config(bundles[0]) or own_config(bundles[1])
    left_out = _left_out(bundles, whole or settings, sources, parts[0])
    return Both(*bundles, settings, list(zip(*parts, strict=True)), left_out)


def comparisons(a: Part, b: Part, samples: int) -> list[Comparison]:
    """Compare two bundles' answers to one part of a data set, figure by figure."""
    ours, theirs = part_counts(a), part_counts(b)
    return [
        _compare(a, metric, *_aligned(ours[metric], theirs[metric]), samples)
        for metric in ours
        if metric in theirs
    ]


def _aligned(a: Counts, b: Counts) -> tuple[Counts, Counts]:
    """Counts of tags that only one bundle gave have more labels: the sums over labels are alike."""
    if a.shape == b.shape:
        return a, b
    return a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)


def _compare(part: Part, metric: str, a: Counts, b: Counts, samples: int) -> Comparison:
    first, second = (float(figure(metric, counts.sum(axis=0))) for counts in (a, b))
    drawn = resampled_totals(np.stack([a, b], axis=1), samples, _SEED)
    changes = figure(metric, drawn[:, 1]) - figure(metric, drawn[:, 0])
    low, high = (float(value) for value in interval(changes))
    p = randomisation_p(a, b, lambda totals: figure(metric, totals), samples, _SEED)
    return Comparison(
        head=part.source.head,
        source=part.source.name,
        split=part.split,
        metric=metric,
        count=len(part.examples),
        a=first,
        b=second,
        difference=second - first,
        low=low,
        high=high,
        p=p,
        mcnemar_p=_mcnemar(part, metric, a, b),
    )


def _mcnemar(part: Part, metric: str, a: Counts, b: Counts) -> float | None:
    if part.kind != "classification" or metric != "accuracy":
        return None
    ours, theirs = a[:, 2].sum(axis=-1), b[:, 2].sum(axis=-1)
    return mcnemar_p(int((ours > theirs).sum()), int((theirs > ours).sum()))


def _left_out(
    bundles: tuple[Bundle, Bundle],
    config: Config,
    data: Mapping[str, SourceData],
    parts: Sequence[Part],
) -> list[str]:
    first, second = ({head.name: head for head in bundle.heads} for bundle in bundles)
    notes = []
    for name in dict.fromkeys([*first, *second]):
        mine, other = first.get(name), second.get(name)
        if mine is None or other is None:
            notes.append(f"head {name}: only in {'B' if mine is None else 'A'}")
        elif mine.kind != other.kind:
            notes.append(f"head {name}: {mine.kind} in A, {other.kind} in B")
        else:
            notes += _label_notes(name, set(mine.labels), set(other.labels))
    measured = {source.head for source in config.sources if source.dev or source.test}
    both = [name for name in first if head_of(bundles[1], name)]
    notes += [f"head {name}: no dev or test data" for name in both if name not in measured]
    for part in parts:
        missed = len(getattr(data[part.source.name], part.split)) - len(part.examples)
        if missed:
            notes.append(f"{part.source.name} {part.split}: {missed:,} texts with other labels")
    return notes


def _label_notes(name: str, ours: set[str], theirs: set[str]) -> list[str]:
    return [
        f"head {name}: label{'s' if len(rest) > 1 else ''} {', '.join(sorted(rest))} only in {side}"
        for side, rest in (("A", ours - theirs), ("B", theirs - ours))
        if rest
    ]


def _bar() -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, disable=not console.is_terminal, transient=True)


def _print_json(
    both: Both, found: Sequence[Comparison], together: Sequence[bool], samples: int
) -> None:
    content = {
        "a": _identity(both.a),
        "b": _identity(both.b),
        "samples": samples,
        "level": LEVEL,
        "comparisons": [
            {**asdict(item), "significant": item.p < LEVEL, "significant_together": sure}
            for item, sure in zip(found, together, strict=True)
        ],
        "left_out": list(both.left_out),
    }
    Console(soft_wrap=True).print_json(json.dumps(content))


def _identity(bundle: Bundle) -> dict[str, str]:
    return {"path": str(bundle.path), "name": bundle.name, "version": bundle.version}


def _print_table(
    both: Both, found: Sequence[Comparison], together: Sequence[bool], samples: int
) -> None:
    console = open_console()
    for side, bundle in (("A", both.a), ("B", both.b)):
        console.print(
            f"{side}: {bundle.name} {bundle.version} ({bundle.path})", soft_wrap=True, markup=False
        )
    console.print(_table(found, together))
    console.print(
        f"95 % interval: paired bootstrap, {samples:,} resamples of the texts; p: approximate "
        "randomisation.\n* p < 0.05   ** also after Holm's correction for all rows",
        soft_wrap=True,
    )
    for note in both.left_out:
        console.print(f"not compared: {note}", soft_wrap=True, markup=False)


def _table(found: Sequence[Comparison], together: Sequence[bool]) -> Table:
    table = Table(title="Figures in percent")
    for name in ("head", "data", "part", "measure"):
        table.add_column(name, overflow="fold")
    for name in ("texts", "A", "B", "B - A", "95 % interval", "p", "", "McNemar p"):
        table.add_column(name, justify="left" if not name else "right")
    for item, sure in zip(found, together, strict=True):
        mark = "**" if sure else "*" if item.p < LEVEL else ""
        table.add_row(
            item.head,
            item.source,
            item.split,
            item.metric,
            f"{item.count:,}",
            f"{100 * item.a:.2f}",
            f"{100 * item.b:.2f}",
            f"{100 * item.difference:+.2f}",
            f"{100 * item.low:+.2f} to {100 * item.high:+.2f}",
            f"{item.p:.4f}",
            mark,
            "" if item.mcnemar_p is None else f"{item.mcnemar_p:.4f}",
        )
    return table
