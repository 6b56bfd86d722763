# ruff: noqa: E402 - a script that finds what it needs beside it
"""Draws the dashboard without Grafana, for a look: each panel's result, in the dashboard's grid.

`python tests/deploy/draw_dashboard.py PICTURE.png` loads servers for a while and draws what a real
Prometheus then gives; it needs matplotlib.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / name) for name in ("deploy", "server", "gateway")]

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
from dashboard_queries import dashboard, filled_in
from matplotlib.ticker import FuncFormatter
from test_dashboard_live import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from prometheus_run import Prometheus

SECONDS = 45.0
STEP = 1.0
CELL = 0.55, 0.36
"""Inches of a cell of the grid."""
MOST_NAMES = 12


def main() -> None:
    """Load, wait, draw."""
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        try:
            site.open()
            time.sleep(SECONDS)
            picture = Drawing(site.prometheus)
            picture.draw(Path(sys.argv[1]))
        finally:
            site.close()


class Drawing:
    """The dashboard as a picture."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    def draw(self, target: Path) -> None:
        """Draw everything."""
        panels = dashboard()["panels"]
        rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
        size = 24 * CELL[0], rows * CELL[1]
        figure = plt.figure(figsize=size, dpi=80)
        for panel in panels:
            at = panel["gridPos"]
            left, bottom = (at["x"] + 1.0) / 24, 1 - (at["y"] + at["h"] - 0.9) / rows
            height = max(0.3, at["h"] - 2.6)
            axes = figure.add_axes((left, bottom, (at["w"] - 1.4) / 24, height / rows))
            self._panel(axes, panel)
        figure.savefig(target)

    def _panel(self, axes: Axes, panel: dict[str, Any]) -> None:
        if panel["type"] == "row":
            axes.set_axis_off()
            axes.text(0, -1.5, panel["title"], fontsize=13, weight="bold")
            return
        axes.set_title(panel["title"], fontsize=9, loc="left")
        axes.tick_params(labelsize=7)
        {
            "timeseries": self._lines,
            "heatmap": self._heatmap,
            "stat": self._stat,
            "table": self._table,
        }[panel["type"]](axes, panel)

    def _lines(self, axes: Axes, panel: dict[str, Any]) -> None:
        field = panel["fieldConfig"]["defaults"]
        base: dict[float, float] = {}
        for target in panel["targets"]:
            for series in self._series(target):
                points = [(float(at), float(value)) for at, value in series["values"]]
                name = _name(target["legendFormat"], series["metric"])
                times = [at - points[-1][0] for at, _ in points]
                values = [value for _, value in points]
                if field["custom"]["stacking"]["mode"] == "normal":
                    floor = [base.get(at, 0.0) for at, _ in points]
                    values = [one + other for one, other in zip(values, floor, strict=True)]
                    base |= {at: value for (at, _), value in zip(points, values, strict=True)}
                    axes.fill_between(times, floor, values, alpha=0.4, label=name)
                else:
                    axes.plot(times, values, linewidth=1, label=name)
        axes.set_ylim(bottom=0, top=field.get("max"))
        axes.yaxis.set_major_formatter(FuncFormatter(_format(field["unit"])))
        if len(axes.get_legend_handles_labels()[1]):
            axes.legend(fontsize=6, loc="upper left", ncols=2)

    def _heatmap(self, axes: Axes, panel: dict[str, Any]) -> None:
        (target,) = panel["targets"]
        series = sorted(self._series(target), key=lambda one: float(one["metric"]["le"]))
        bounds = [one["metric"]["le"] for one in series]
        columns = [dict(map(tuple, one["values"])) for one in series]
        times = sorted(set().union(*columns))
        grid, before = [], [0.0] * len(times)
        for column in columns:
            now = [float(column.get(at, "nan")) for at in times]
            grid.append([one - other for one, other in zip(now, before, strict=True)])
            before = now
        axes.imshow(grid, aspect="auto", origin="lower", cmap="Blues")
        axes.set_yticks(range(len(bounds)), bounds, fontsize=6)

    def _stat(self, axes: Axes, panel: dict[str, Any]) -> None:
        axes.set_axis_off()
        (target,) = panel["targets"]
        values = [float(one["value"][1]) for one in self._prometheus.query(_expr(target))]
        text = _format(panel["fieldConfig"]["defaults"]["unit"])(values[0]) if values else "No data"
        axes.text(0.5, 0.4, text, fontsize=16, ha="center")

    def _table(self, axes: Axes, panel: dict[str, Any]) -> None:
        axes.set_axis_off()
        (target,) = panel["targets"]
        found = self._prometheus.query(_expr(target))
        lines = ["\n".join(f"{k}: {v}" for k, v in one["metric"].items()) for one in found]
        axes.text(0, 0.95, "\n\n".join(lines), fontsize=8, va="top")

    def _series(self, target: dict[str, Any]) -> list[dict[str, Any]]:
        found = self._prometheus.query_range(_expr(target), SECONDS, STEP)
        return sorted(found, key=lambda one: sorted(one["metric"].items()))[: MOST_NAMES * 3]


def _expr(target: dict[str, Any]) -> str:
    return filled_in(target["expr"], "10s", task="pos")


def _name(legend: str, labels: dict[str, str]) -> str:
    for key, value in labels.items():
        legend = legend.replace("{{" + key + "}}", value)
    return legend


def _format(unit: str) -> Callable[..., str]:
    """Numbers as Grafana writes them, about."""

    def write(value: float, _: object = None) -> str:
        if unit == "percentunit":
            return f"{100 * value:.3g} %"
        if unit == "s" and value < 1:
            return f"{1000 * value:.3g} ms"
        ends = {"s": " s", "reqps": " req/s"}
        if unit == "bytes":
            return f"{value / 2**20:.3g} MiB"
        return f"{value:.4g}{ends.get(unit, '')}"

    return write


if __name__ == "__main__":
    main()
