"""The sections of the page about the bundle as a whole."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from polyhead_training.report.charts import line_chart
from polyhead_training.report.html import element
from polyhead_training.report.tables import (
    note,
    number,
    percent,
    points,
    section,
    span_of,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyhead_server.bundle import Bundle
    from polyhead_training.report.history import History
    from polyhead_training.report.html import Child, Html
    from polyhead_training.report.judged import Judged
    from polyhead_training.report.singles import Gap

_SHOWN_APART = frozenset({"config", "data_sets", "torch_figures"})
_MINUTE = 60


def cards(judged: Sequence[Judged]) -> Html:
    """The deciding figure of every data set."""
    return element("div", [_card(item) for item in judged], class_="cards")


def _card(item: Judged) -> Html:
    metric = item.part.source.metric
    value = item.figures[metric]
    return element(
        "div",
        element("p", item.part.source.head, class_="head"),
        element("p", percent(value.value), class_="value"),
        element("p", metric.replace("_", " "), class_="range"),
        element("p", "95 %: ", span_of(value), class_="range"),
        element(
            "p",
            f"{item.part.source.name} {item.part.split}, {len(item.part.examples):,} texts",
            class_="data",
        ),
        class_="card",
    )


def figures(judged: Sequence[Judged]) -> Html:
    """All figures."""
    rows = [
        [
            element("th", item.part.source.head, scope="row"),
            element("td", item.part.source.name),
            element("td", item.part.split),
            element("td", metric),
            number(f"{len(item.part.examples):,}"),
            number(percent(value.value)),
            number(span_of(value)),
        ]
        for item in judged
        for metric, value in item.figures.items()
    ]
    heads = ("head", "data", "part", "measure", ">texts", ">figure", ">95 % interval")
    return section(
        "figures",
        "Figures",
        table("Every figure in percent, measured with the engine that serves", heads, rows),
        note("Intervals: bootstrap over whole texts, 2,000 resamples."),
    )


def curves(history: History | None) -> Html | None:
    """How training went."""
    if history is None:
        return None
    minutes = tuple(second / _MINUTE for second in history.seconds)
    return section(
        "curves",
        "Learning curves",
        note(
            f"{len(history.steps)} validations on dev data in torch; the marked one, at step "
            f"{history.steps[history.best]:,.0f}, gave the weights."
        ),
        element("h3", "Against steps"),
        _grid(history, history.steps, "steps"),
        element("h3", "Against time"),
        _grid(history, minutes, "minutes of training"),
    )


def _grid(history: History, xs: Sequence[float], across: str) -> Html:
    charts = [
        element(
            "figure",
            line_chart(
                curve.name,
                across,
                xs,
                [100 * y for y in curve.values] if curve.fraction else curve.values,
                history.best,
                " %" if curve.fraction else "",
            ),
            element(
                "figcaption", curve.name, ", %" if curve.fraction else None, _left_out(curve.values)
            ),
        )
        for curve in history.curves
        if any(map(math.isfinite, curve.values))
    ]
    return element("div", charts, class_="grid")


def _left_out(values: Sequence[float]) -> str | None:
    """What a caption says of a run that diverged."""
    count = sum(not math.isfinite(value) for value in values)
    return f"; {count} of {len(values)} values are not finite and left out" if count else None


def against_torch(judged: Sequence[Judged], bundle: Bundle) -> Html | None:
    """What the served precision costs."""
    rows = list(_torch_rows(judged, bundle.manifest.provenance))
    if not rows:
        return None
    precision = bundle.manifest.encoder.precision
    worst = min(gap for gap, _ in rows)
    heads = ("head", "data", "part", "measure", f">served ({precision})", ">torch (fp32)", ">gap")
    return section(
        "precision",
        f"Served ({precision}) against torch (fp32)",
        table(
            "Figures in percent; gap: served less torch, in points",
            heads,
            (row for _, row in rows),
        ),
        note(
            f"Largest loss: {points(min(worst, 0.0))} points. The torch figures were noted when "
            "the bundle was made."
        ),
    )


def _torch_rows(
    judged: Sequence[Judged], provenance: Mapping[str, Any]
) -> Iterator[tuple[float, list[Html]]]:
    noted = {
        (item["head"], item["source"], item["split"], item["metric"], item["count"]): item["value"]
        for item in provenance.get("torch_figures", [])
    }
    for item in judged:
        head, count = item.part.source.head, len(item.part.examples)
        for metric, value in item.figures.items():
            torch = noted.get((head, *item.part.key, metric, count))
            if torch is not None:
                gap = value.value - torch
                yield gap, [*_names(head, *item.part.key, metric), *_beside(value.value, torch)]


def against_singles(gaps: Sequence[Gap]) -> Html | None:
    """What sharing one encoder costs or gives."""
    if not gaps:
        return None
    rows = [
        [
            element("th", gap.name, scope="row"),
            *(element("td", text) for text in (gap.head, gap.source, gap.split, gap.metric)),
            *_beside(gap.multi, gap.single),
            number("" if gap.low is None or gap.high is None else _range(gap.low, gap.high)),
            number("noted" if gap.p is None else f"{gap.p:.4f}"),
        ]
        for gap in gaps
    ]
    heads = ("single", "head", "data", "part", "measure")
    numbers = (">multi-task", ">single-task", ">gap", ">95 % interval", ">p")
    return section(
        "singles",
        "Multi-task against single-task",
        table(
            "Figures in percent; gap: this bundle less the single-task one, in points",
            (*heads, *numbers),
            rows,
        ),
        note(
            "Intervals by the paired bootstrap, p by approximate randomisation over texts. "
            "“noted”: taken from the history of a run, not measured again."
        ),
    )


def data_sets(provenance: Mapping[str, Any]) -> Html | None:
    """What it was trained on."""
    rows = [
        [
            element("th", str(item.get("name", "")), scope="row"),
            element("td", str(item.get("head", ""))),
            element("td", "training" if item.get("trained_on") else "measuring only"),
            element("td", str(item.get("licence", "")) or "not stated"),
        ]
        for item in provenance.get("data_sets", [])
    ]
    if not rows:
        return None
    heads = ("set", "head", "use", "licence")
    return section("data", "Data sets", table("Data sets and their licences", heads, rows))


def provenance(bundle: Bundle) -> Html:
    """Where it came from."""
    manifest = bundle.manifest
    window = f"{manifest.tokenizer.max_tokens} tokens, overlap {manifest.tokenizer.overlap}"
    facts: dict[str, object] = {
        "bundle": f"{manifest.name} {manifest.version}",
        "language": manifest.language,
        "encoder": manifest.encoder.model,
        "precision": manifest.encoder.precision,
        "hidden size": manifest.encoder.hidden_size,
        "window": window,
    }
    noted = {k: v for k, v in manifest.provenance.items() if k not in _SHOWN_APART}
    rows = [
        [element("th", name.replace("_", " "), scope="row"), element("td", _shown(value))]
        for name, value in {**facts, **noted}.items()
    ]
    config = manifest.provenance.get("config")
    return section(
        "provenance",
        "Provenance",
        table("How the bundle was made", ("fact", "value"), rows),
        element(
            "details",
            element("summary", "The training configuration"),
            element("pre", str(config), tabindex="0"),
        )
        if config
        else None,
    )


def _shown(value: object) -> Child:
    if isinstance(value, str | int | float) or value is None:
        return str(value)
    text = json.dumps(value, indent=1, ensure_ascii=False, default=str)
    return element("pre", text) if "\n" in text else text


def _names(head: str, *rest: str) -> list[Html]:
    return [element("th", head, scope="row"), *(element("td", text) for text in rest)]


def _beside(value: float, other: float) -> list[Html]:
    return [number(percent(value)), number(percent(other)), number(points(value - other))]


def _range(low: float, high: float) -> str:
    return f"{points(low)} to {points(high)}"
