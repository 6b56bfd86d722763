"""Parts of the page that several sections share: numbers, tables, places that scroll."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from polyhead_training.report.html import Html, element

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from polyhead_training.report.html import Child
    from polyhead_training.report.judged import Value


def percent(value: float) -> str:
    """A fraction in percent; a dash where it is not defined."""
    return "–" if math.isnan(value) else f"{100 * value:.2f}"


def points(value: float) -> str:
    """A difference of fractions in points."""
    return f"{100 * value:+.2f}".replace("-", "\N{MINUS SIGN}")


def span_of(value: Value) -> str:
    """The interval of a figure."""
    return "" if math.isnan(value.low) else f"{100 * value.low:.1f}–{100 * value.high:.1f}"


def figure_cell(value: Value) -> Html:
    """A figure with its interval, as a cell."""
    interval = element("small", span_of(value))
    return element("td", percent(value.value), " ", interval, class_="number")


def number(text: str) -> Html:
    """A cell with a number."""
    return element("td", text, class_="number")


def table(caption: Child, heads: Sequence[str], rows: Iterable[Child], kind: str = "") -> Html:
    """A table that scrolls by itself where it is too wide.

    Args:
        caption: what it shows.
        heads: names of the columns; those that begin with ">" are of numbers.
        rows: their cells.
        kind: class of the table; "stacked" for rows that become blocks where the page is narrow.
    """
    names = [
        element("th", name.removeprefix(">"), scope="col", class_=name.startswith(">") and "number")
        for name in heads
    ]
    content = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", names)),
        element("tbody", [element("tr", row) for row in rows]),
        class_=kind or None,
    )
    return scrolling(content)


def scrolling(content: Child) -> Html:
    """Content that scrolls sideways by itself."""
    return element("div", content, class_="scroll", tabindex="0", role="group")


def section(name: str, title: str, *content: Child) -> Html:
    """A section with its heading; nothing where it has no content."""
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, content, id=name, aria_labelledby=f"{name}-title")


def note(*content: Child) -> Html:
    """A remark."""
    return element("p", content, class_="note")
