"""Small line charts and reliability diagrams as inline SVG, coloured by the page's style."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from polyhead_training.report.html import Html, element

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_training.reliability import Reliability

_WIDTH, _HEIGHT = 320, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 10, 34
_SIDE = 240
_MARGIN = 36
_STRIP = 36
"""Height of the histogram below a reliability diagram."""
_FEW = 20
"""Answers below which a bar says little, and is faint."""


def line_chart(
    title: str,
    across: str,
    xs: Sequence[float],
    ys: Sequence[float],
    mark: int,
    unit: str = "",
) -> Html:
    """Draw one curve.

    Args:
        title: what it shows, for those who do not see it.
        across: name of the horizontal axis.
        xs: places, rising.
        ys: values, at least one of them finite; those of a run that diverged are left out.
        mark: the point to mark.
        unit: behind the values.
    """
    finite = [y for y in ys if math.isfinite(y)]
    low_x, high_x = 0.0, max(xs) or 1.0
    ticks = nice_ticks(min(finite), max(finite))
    low_y, high_y = min(ticks[0], *finite), max(ticks[-1], *finite)
    points = {
        n: (
            _scaled(x, low_x, high_x, _LEFT, _WIDTH - _RIGHT),
            _scaled(y, low_y, high_y, _HEIGHT - _BOTTOM, _TOP),
        )
        for n, (x, y) in enumerate(zip(xs, ys, strict=True))
        if math.isfinite(y)
    }
    grid = [
        _level(_scaled(tick, low_y, high_y, _HEIGHT - _BOTTOM, _TOP), f"{tick:g}") for tick in ticks
    ]
    below = [
        _text(_scaled(tick, low_x, high_x, _LEFT, _WIDTH - _RIGHT), _HEIGHT - 19, compact(tick))
        for tick in nice_ticks(low_x, high_x)
        if tick <= high_x
    ]
    caption = _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 4, across)
    line = element(
        "polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points.values()), class_="line"
    )
    dots = [
        element(
            "circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=4 if n == mark else 2.2, class_=_dot(n, mark)
        )
        for n, (x, y) in points.items()
    ]
    told = f"{title}: {ys[0]:.4g}{unit} at first, {ys[mark]:.4g}{unit} where marked, of {len(ys)}"
    return _svg(_WIDTH, _HEIGHT, told, grid, below, caption, line, dots)


def reliability_diagram(title: str, found: Reliability) -> Html:
    """Draw correctness against score, with a histogram of the scores below."""
    width, bottom = _SIDE + _MARGIN + 20, 8 + _SIDE
    step = _SIDE / len(found.bins)
    most = max(item.count for item in found.bins)
    bars, strip = [], []
    for place, item in enumerate(found.bins):
        left = _MARGIN + place * step
        tall = _SIDE * item.right
        kind = "bar" if item.count >= _FEW else "bar few"
        bars.append(_rect(left + 1, bottom - tall, step - 2, tall, kind) if item.count else None)
        share = _STRIP * item.count / most
        strip.append(_rect(left + 1, bottom + 24 + _STRIP - share, step - 2, share, "count"))
    centres = [
        element(
            "circle",
            cx=f"{_MARGIN + _SIDE * item.score:.1f}",
            cy=f"{bottom - _SIDE * item.right:.1f}",
            r=3,
            class_="dot best",
        )
        for item in found.bins
        if item.count
    ]
    frame = _rect(_MARGIN, 8, _SIDE, _SIDE, "frame")
    ideal = element("line", x1=_MARGIN, y1=bottom, x2=_MARGIN + _SIDE, y2=8, class_="ideal")
    ticks = [
        (
            _text(_MARGIN + _SIDE * part, bottom + 14, f"{part:.0%}"),
            _text(_MARGIN - 6, bottom - _SIDE * part + 4, f"{part:.0%}", "end"),
        )
        for part in (0.0, 0.5, 1.0)
    ]
    name = _text(_MARGIN + _SIDE / 2, bottom + _STRIP + 40, "score (above: right, below: answers)")
    told = f"{title}: expected calibration error {found.error:.1%} over {found.count:,} answers"
    height = bottom + _STRIP + 46
    return _svg(width, height, told, frame, bars, ideal, centres, strip, ticks, name)


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers that cover a range."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / count
    scale = 10.0 ** math.floor(math.log10(rough))
    step = scale * next(n for n in (1, 2, 2.5, 5, 10) if n * scale >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]


def compact(value: float) -> str:
    """A number on an axis: thousands as k."""
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"  # noqa: PLR2004


def _scaled(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (value - low) / ((high - low) or 1.0) * (end - start)


def _level(y: float, label: str) -> Html:
    rule = element(
        "line", x1=_LEFT, y1=f"{y:.1f}", x2=_WIDTH - _RIGHT, y2=f"{y:.1f}", class_="grid"
    )
    return Html(rule + _text(_LEFT - 6, y + 4, label, "end"))


def _text(x: float, y: float, label: str, anchor: str = "middle") -> Html:
    return element("text", label, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _rect(x: float, y: float, width: float, height: float, kind: str) -> Html:
    return element(
        "rect",
        x=f"{x:.1f}",
        y=f"{y:.1f}",
        width=f"{width:.1f}",
        height=f"{height:.1f}",
        class_=kind,
    )


def _dot(number: int, mark: int) -> str:
    return "dot best" if number == mark else "dot"


def _svg(width: float, height: float, told: str, *children: object) -> Html:
    return element(
        "svg",
        element("title", told),
        children,  # type: ignore[arg-type]
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=told,
        class_="chart",
    )
