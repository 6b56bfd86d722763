"""The sections of the page about single parts of data sets."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_training.report.charts import reliability_diagram
from polyhead_training.report.confusion import NO_SPAN
from polyhead_training.report.html import element
from polyhead_training.report.tables import (
    figure_cell,
    note,
    number,
    percent,
    scrolling,
    section,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_training.report.confusion import Confusion
    from polyhead_training.report.html import Html
    from polyhead_training.report.judged import Judged, LabelRow
    from polyhead_training.report.mistakes import Mistake

_FEW_LABELS = 5
_STRONG = 0.75
"""Shade from which the text on it is light."""


def by_label(judged: Sequence[Judged]) -> Html:
    """Precision, recall and F1 of every label."""
    heads = ("label", ">gold", ">precision", ">recall", ">F1")
    tables = [
        table(
            _title(item),
            heads,
            [_label_row(row) for row in item.labels],
        )
        for item in judged
    ]
    return section(
        "labels",
        "By label",
        note("In percent, with 95 % intervals."),
        element("div", tables, class_="columns"),
    )


def _label_row(row: LabelRow) -> list[Html]:
    return [
        element("th", row.label, scope="row"),
        number(f"{row.support:,}"),
        figure_cell(row.precision),
        figure_cell(row.recall),
        figure_cell(row.f1),
    ]


def confusions(judged: Sequence[Judged]) -> Html:
    """Which labels are taken for which."""
    return section(
        "confusion",
        "Confusion",
        note(
            "Rows: the gold label; columns: the answer. Blue is right, orange wrong; the shade "
            "goes by the square root of the share of the row. Spans are the same where their "
            "first and last word are."
        ),
        element("div", [scrolling(_matrix(item)) for item in judged], class_="flow"),
    )


def _matrix(item: Judged) -> Html:
    found = item.confusion
    many = len(found.labels) > _FEW_LABELS
    heads = [
        element("th", element("span", label), scope="col", class_="upright" if many else None)
        for label in found.labels
    ]
    rows = [
        element("tr", element("th", label, scope="row"), _cells(found, place))
        for place, label in enumerate(found.labels)
    ]
    return element(
        "table",
        element("caption", _title(item)),
        element("thead", element("tr", element("td", "gold ↓ answer →"), heads)),
        element("tbody", rows),
        class_="matrix",
    )


def _cells(found: Confusion, row: int) -> list[Html]:
    return [_cell(found, row, column) for column in range(len(found.labels))]


def _cell(found: Confusion, row: int, column: int) -> Html:
    count, share = int(found.table[row, column]), float(found.shares[row, column])
    if found.labels[row] == found.labels[column] == NO_SPAN:
        return element("td", class_="none")
    if not count:
        return element("td", "0", class_="zero")
    shade = math.sqrt(share)
    kind = ("right" if row == column else "wrong") + (" strong" if shade > _STRONG else "")
    title = f"{found.labels[row]} taken for {found.labels[column]}: {share:.1%} of the row"
    return element("td", f"{count:,}", class_=kind, style=f"--shade:{shade:.3f}", title=title)


def calibration(judged: Sequence[Judged]) -> Html:
    """Whether scores can be believed."""
    diagrams = [
        element(
            "figure",
            reliability_diagram(_title(item), item.reliability),
            element(
                "figcaption",
                element("strong", _title(item)),
                element("br"),
                f"ECE {percent(item.reliability.error)} % over {item.reliability.count:,} "
                f"{_answers(item)}",
            ),
        )
        for item in judged
        if item.reliability
    ]
    return section(
        "calibration",
        "Calibration",
        note(
            "How often answers of a score are right, in bins of like scores. On the dashed line "
            "scores are honest; below it the bundle is too sure. ECE is the expected calibration "
            "error: the mean distance from the line."
        ),
        element("div", diagrams, class_="grid"),
    )


def _answers(item: Judged) -> str:
    return {"classification": "texts", "tagging": "words"}.get(item.part.kind, "predicted spans")


def mistakes(judged: Sequence[Judged], root: Path, *, texts: bool) -> Html:
    """The wrong answers that are given with the highest scores.

    Args:
        judged: what was found out.
        root: directory of the data; places are shown relative to it.
        texts: whether to show texts.
    """
    heads = ("place", "gold", "answer", ">score", *(("text",) if texts else ()))
    tables = [
        table(
            _title(item),
            heads,
            [_mistake(mistake, root, texts=texts) for mistake in item.mistakes],
            kind="stacked",
        )
        for item in judged
        if item.mistakes
    ]
    told = note("Wrong answers with the highest scores. Some may be errors of the data.")
    return section("errors", "Most certain errors", told if tables else note("None."), tables)


def _mistake(item: Mistake, root: Path, *, texts: bool) -> list[Html]:
    gold = item.gold_shown if texts else item.gold
    cells = [
        element("th", _place(item.origin, root), scope="row", class_="place"),
        element("td", gold, data_label="gold"),
        element("td", item.given, data_label="answer"),
        element("td", percent(item.score), class_="number", data_label="score"),
    ]
    if not texts:
        return cells
    marked = [" ", element("mark", item.wrong), " "] if item.wrong else None
    return [*cells, element("td", item.before, marked, item.after, class_="text", dir="auto")]


def _place(origin: str, root: Path) -> str:
    path, colon, line = origin.rpartition(":")
    try:
        return f"{Path(path).relative_to(root)}{colon}{line}"
    except ValueError:
        return origin


def _title(item: Judged) -> str:
    return f"{item.part.source.head} on {item.part.source.name} {item.part.split}"
