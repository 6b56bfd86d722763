"""The results for a person: tables on standard output."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from tests.bench.bench import EQUAL, LENGTHS, MIX
from tests.bench.calls import FORMS
from tests.bench.parts.latency import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.bench.rounds import Samples
    from tests.bench.targets import Held

_MICRO, _MILLI = 1e6, 1e3


def show(samples: Samples, targets: Sequence[Held]) -> None:
    """Print all tables for which there are figures."""
    _show_throughput(samples)
    _show_latency(samples)
    _show_curves(samples)
    _show_rest(samples)
    _show_targets(targets)


def _show_throughput(samples: Samples) -> None:
    rows: list[Sequence[str]] = []
    for kind in (*LENGTHS, MIX, EQUAL):
        for form in ("raw", *(form.name for form in FORMS)):
            arm = f"{form}/{kind}"
            if f"{arm}/tokens_per_second" in samples:
                rows.append((kind, form, *_throughput_cells(samples, arm)))
    heads = ["texts", "form", "tokens/s", "over raw", "texts/s", "p50 ms", "p99 ms"]
    heads += ["CPU us/text", "over engine", "load us/text"]
    _table(
        "Saturated, closed loop (CPU: of server or engine; load: CPU of the generator)", heads, rows
    )


def _throughput_cells(samples: Samples, arm: str) -> Iterable[str]:
    cost = "cpu_per_text" if arm.startswith("raw") else "server_cpu_per_text"
    yield _cell(samples, f"{arm}/tokens_per_second", "{:,.0f}")
    yield _spread(samples, f"over_raw/{arm}")
    yield _cell(samples, f"{arm}/texts_per_second", "{:,.0f}")
    yield _cell(samples, f"{arm}/p50", "{:.2f}", _MILLI)
    yield _cell(samples, f"{arm}/p99", "{:.2f}", _MILLI)
    yield _cell(samples, f"{arm}/{cost}", "{:,.0f}", _MICRO)
    yield _spread(samples, f"cpu_over_raw/{arm}")
    yield _cell(samples, f"{arm}/generator_cpu_per_text", "{:,.1f}", _MICRO)


def _show_latency(samples: Samples) -> None:
    singles = {"raw engine": "raw_one/16", "echo RPC": "echo/16", "server": "unloaded/16"}
    rows = [(name, _cell(samples, f"{arm}/p50", "{:.3f}", _MILLI)) for name, arm in singles.items()]
    _table("One 16-token text at a time", ("what", "p50 ms"), [row for row in rows if row[1]])
    figures = ("p50", "p95", "p99", "refused_p99", "sent_late_p99")
    loads = []
    for arm in (f"open/{level}" for level in LEVELS):
        if f"{arm}/p50" in samples:
            times = (_cell(samples, f"{arm}/{name}", "{:.2f}", _MILLI) for name in figures)
            shares = ("goodput_over_peak", "refused_share", "expired_share")
            parts = (_cell(samples, f"{arm}/{name}", "{:.3f}") for name in shares)
            offered = _cell(samples, f"{arm}/offered_per_second", "{:,.0f}")
            loads.append((arm.removeprefix("open/"), offered, *times, *parts))
    heads = ("% load", "calls/s", "p50 ms", "p95 ms", "p99 ms", "refused p99", "late p99")
    _table(
        "Open loop, single 16-token texts (latency from the moment a call was due)",
        (*heads, "good/peak", "refused", "expired"),
        loads,
    )


def _show_curves(samples: Samples) -> None:
    rows = []
    for curve, points in curves(samples).items():
        for before, x in itertools.pairwise(("", *points)):
            rate = _cell(samples, f"{curve}/{x}/texts_per_second", "{:,.0f}")
            rows.append((curve, str(x), rate, _spread(samples, f"step/{curve}/{before}-{x}")))
    _table("Doubling", ("what", "number", "texts/s", "over the one before"), rows)


def curves(samples: Samples) -> dict[str, list[int]]:
    """The points that were measured, by curve."""
    found: dict[str, list[int]] = {}
    for curve in ("connections", "batch", "heads"):
        names = [n.split("/") for n in samples.names() if n.startswith(f"{curve}/")]
        found[curve] = sorted({int(parts[1]) for parts in names})
    return {curve: points for curve, points in found.items() if points}


def _show_rest(samples: Samples) -> None:
    prefixes = ("start/", "cost_of/", "gateway_", "mixed_over_equal/", "four_tasks_over_one")
    rows = [(name, str(samples[name])) for name in samples.names() if name.startswith(prefixes)]
    _table("Others: median (quartiles)", ("what", "figure"), rows)


def _show_targets(targets: Sequence[Held]) -> None:
    rows = [
        (
            "yes" if held.passed else "NO",
            held.target.name,
            str(held.target),
            str(held.figure),
            held.of,
        )
        for held in targets
    ]
    _table("Targets", ("met", "what", "bar", "measured (quartiles)", "worst of"), rows)


def _cell(samples: Samples, name: str, form: str, times: float = 1.0) -> str:
    return form.format(times * samples[name].median) if name in samples else ""


def _spread(samples: Samples, name: str) -> str:
    if name not in samples:
        return ""
    figure = samples[name]
    return f"{figure.median:.3f} ±{(figure.high - figure.low) / 2:.3f}"


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not rows:
        return
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    print(f"\n{title}")
    for row in (heads, *rows):
        cells = (
            cell.rjust(width) if _right(cell) else cell.ljust(width)
            for cell, width in zip(row, widths, strict=True)
        )
        print("  " + "  ".join(cells).rstrip())


def _right(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:2] in {"0.", "-0"}
