"""Draws the study's plots and prints its tables, from results.jsonl and precision.json.

python training/study/plots.py
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent
PLOTS = HERE / "plots"
TASKS = {
    "sst2": "sentiment",
    "ag-news": "topic",
    "uner-ewt": "entities",
    "ud-ewt": "part of speech",
}
COLOURS = {
    "pretrained": "#2458a6",
    "random": "#b4492d",
    "recurrent": "#6a8f2f",
    "AWD-LSTM": "#6a8f2f",
    "ELMo": "#7a4f9a",
}
ALL_SENTENCES = 6920

Row = dict[str, Any]
Column = tuple[str, "Callable[[Row], str]"]


def rows(part: str) -> list[Row]:
    """The results of one part of the study."""
    lines = (HERE / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["part"] == part]


def figure(row: Row, source: str) -> float | None:
    """A run's figure on a source's dev part, in percent."""
    for found in row["figures"]:
        if found["source"] == source and found["split"] == "dev" and found["select"]:
            return 100 * float(found["value"])
    return None


def table(part: str, title: str, found: Sequence[Row], columns: Sequence[Column]) -> str:
    """A table of a part: a line a run."""
    names = [name for name, _ in columns]
    lines = [f"| {title} | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for row in found:
        cells = " | ".join(cell(row) for _, cell in columns)
        lines.append(f"| {row['name']} | {cells} |")
    return f"<!-- {part} -->\n" + "\n".join(lines) + "\n"


def _tasks(*names: str) -> list[Column]:
    def column(source: str) -> Column:
        def cell(row: Row) -> str:
            value = figure(row, source)
            return "" if value is None else f"{value:.1f}"

        return TASKS[source], cell

    return [column(source) for source in names or TASKS]


CPU: Column = ("CPU", lambda row: f"{row['cpu_seconds']:.0f} s")
SPEED: Column = ("tokens/s", lambda row: f"{row['speed']:,}" if "speed" in row else "")


def _noisy(change: str, source: str) -> Column:
    return (
        f"{TASKS[source]}, {change}",
        lambda row: f"{100 * row['noise'][change][source]:.1f}",
    )


def draw_curves(found: list[Row]) -> None:
    """Accuracy against computing time, by what training begins with."""
    chart, axes = plt.subplots(1, len(TASKS), figsize=(12, 3), constrained_layout=True)
    for axis, (source, task) in zip(axes, TASKS.items(), strict=True):
        for row in found:
            cost = row["cpu_seconds"] / row["steps"]
            points = [(p["step"] * cost, 100 * p["figures"][source]) for p in row["curve"]]
            axis.plot(*zip(*points, strict=True), "o-", ms=3, color=COLOURS[row["name"]])
        axis.set_title(task)
        axis.set_xlabel("CPU seconds of training")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("dev figure, %")
    chart.legend([row["name"] for row in found], loc="outside right upper")
    chart.savefig(PLOTS / "sooner.svg")


def draw_few(found: list[Row]) -> str:
    """Accuracy against labelled examples, with the spread over seeds; returns the table."""
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in found:
        name, size = row["name"].rsplit("-", 1)
        value = figure(row, "sst2")
        if value is not None:
            values[name][int(size) or ALL_SENTENCES].append(value)
    chart, axis = plt.subplots(figsize=(6, 4), constrained_layout=True)
    lines = ["| labelled sentences | " + " | ".join(values) + " |"]
    lines.append("|---|" + "---:|" * len(values))
    for name, by_size in values.items():
        sizes = sorted(by_size)
        means = [mean(by_size[size]) for size in sizes]
        spread = [_spread(by_size[size]) for size in sizes]
        axis.errorbar(sizes, means, spread, fmt="o-", capsize=3, label=name, color=COLOURS[name])
    for size in sorted({size for by_size in values.values() for size in by_size}):
        cells = [_cell(by_size.get(size, [])) for by_size in values.values()]
        lines.append(f"| {size:,} | " + " | ".join(cells) + " |")
    axis.set_xscale("log")
    axis.set_xlabel("labelled sentences")
    axis.set_ylabel("SST-2 dev accuracy, %")
    axis.grid(alpha=0.3)
    axis.legend()
    chart.savefig(PLOTS / "less-data.svg")
    return "<!-- data -->\n" + "\n".join(lines) + "\n"


def _spread(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    return f"{mean(values):.1f} ± {_spread(values):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def draw() -> None:
    """Draw everything and print the tables."""
    PLOTS.mkdir(exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "polyhead"
    encoders = rows("encoders")
    full = encoders[:1]
    pair = _tasks("sst2", "uner-ewt")
    noisy = [_noisy(change, name) for name in ("sst2", "uner-ewt") for change in ("upper", "typo")]
    print(table("encoders", "start", encoders, [*_tasks(), CPU]))
    print(table("tasks", "heads", [*_named("all four", full), *rows("tasks")], [*_tasks(), CPU]))
    print(table("modes", "what learns", [*_named("all", full), *rows("modes")], [*_tasks(), CPU]))
    print(table("layers", "layers", [*rows("layers"), *_named("6", full)], [*_tasks(), CPU, SPEED]))
    print(table("ways", "way", rows("ways"), [*pair, CPU]))
    print(table("unlabelled", "learns from", rows("unlabelled"), [*_tasks("sst2"), CPU]))
    print(table("noise", "learned with", rows("noise"), [*pair, *noisy]))
    draw_curves(encoders)
    print(draw_few(rows("data")))


def _named(name: str, found: Sequence[Row]) -> list[Row]:
    return [{**row, "name": name} for row in found]


if __name__ == "__main__":
    draw()
