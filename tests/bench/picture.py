"""The results as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter

from tests.bench.bench import LENGTHS, MIX
from tests.bench.calls import FORMS
from tests.bench.figures import curves
from tests.bench.parts.latency import LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.rounds import Samples
    from tests.bench.targets import Held

_KINDS = (*LENGTHS, MIX)
_COLOURS = ("#9aa5b1", "#d1495b", "#edae49", "#00798c", "#30638e")
_GOOD, _BAD = "#00798c", "#d1495b"


def draw(samples: Samples, targets: Sequence[Held], file: Path) -> None:
    """Write the picture: what was not measured stays empty."""
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(2, 3, figsize=(17, 9), layout="constrained")
    panels = (_throughput, _over_raw, _latency, _costs, _curves)
    for axis, panel in zip(axes.flat, panels, strict=False):
        panel(axis, samples)
        axis.set_visible(axis.has_data())
    _targets(axes.flat[-1], targets)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _throughput(axis: Any, samples: Samples) -> None:
    forms = ("raw", *(form.name for form in FORMS))
    _bars(axis, samples, forms, "{form}/{kind}/tokens_per_second", scale=1e-3)
    axis.set(title="Saturated throughput", ylabel="thousand tokens/s", xlabel="tokens in a text")


def _over_raw(axis: Any, samples: Samples) -> None:
    _bars(axis, samples, tuple(form.name for form in FORMS), "over_raw/{form}/{kind}")
    axis.set(title="Throughput over the raw engine's", xlabel="tokens in a text")


def _costs(axis: Any, samples: Samples) -> None:
    _bars(axis, samples, tuple(form.name for form in FORMS), "cpu_over_raw/{form}/{kind}")
    axis.set(title="Server CPU a text over engine CPU a text", xlabel="tokens in a text")


def _bars(
    axis: Any, samples: Samples, forms: Sequence[str], pattern: str, scale: float = 1.0
) -> None:
    width = 0.8 / len(forms)
    for place, form in enumerate(forms):
        colour = _COLOURS[place + len(_COLOURS) - len(forms)]
        names = [pattern.format(form=form, kind=kind) for kind in _KINDS]
        found = [(at, samples[name]) for at, name in enumerate(names) if name in samples]
        if not found:
            continue
        middles = [scale * one.median for _, one in found]
        low = [scale * (one.median - one.low) for _, one in found]
        high = [scale * (one.high - one.median) for _, one in found]
        places = [at + (place + 0.5) * width - 0.4 for at, _ in found]
        axis.bar(
            places, middles, width, yerr=(low, high), color=colour, label=form, ecolor="#555555"
        )
        axis.legend(fontsize=7, frameon=False, ncols=len(forms), loc="upper left")
    axis.set_xticks(range(len(_KINDS)), _KINDS)
    axis.margins(y=0.15)


def _latency(axis: Any, samples: Samples) -> None:
    levels = [level for level in LEVELS if f"open/{level}/p50" in samples]
    if not levels:
        return
    for quantile, colour in zip(("p50", "p95", "p99"), _COLOURS[2:], strict=True):
        values = [1e3 * samples[f"open/{level}/{quantile}"].median for level in levels]
        axis.plot(levels, values, marker="o", color=colour, label=quantile)
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.legend(frameon=False)
    axis.set(title="Open loop, single 16-token texts", xlabel="% of capacity offered", ylabel="ms")


def _curves(axis: Any, samples: Samples) -> None:
    for (curve, points), colour in zip(curves(samples).items(), _COLOURS[1:], strict=False):
        values = [samples[f"{curve}/{x}/texts_per_second"].median for x in points]
        axis.plot(
            points, [one / max(values) for one in values], marker="o", color=colour, label=curve
        )
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.legend(frameon=False)
    axis.set(title="Doubling: texts/s over the curve's highest", xlabel="number of")
    axis.set_ylim(0, 1.05)


def _targets(axis: Any, targets: Sequence[Held]) -> None:
    axis.axis("off")
    axis.set_title("Targets")
    for row, held in enumerate(targets):
        sign = "≥" if held.target.relation == "at least" else "≤"
        bar = f"{sign} {held.target.bar:g}{held.target.unit}"
        text = f"{held.target.name}: {held.figure.median:.3g} ({bar})"
        axis.text(
            0,
            1 - (row + 1) / (len(targets) + 1),
            text,
            fontsize=8,
            color=_GOOD if held.passed else _BAD,
            transform=axis.transAxes,
        )
