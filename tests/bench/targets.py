"""What the figures are held to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tests.bench.bench import LENGTHS, MIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.bench.rounds import Figure, Samples

_KINDS = (*LENGTHS, MIX)
Relation = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Target:
    """One bar, and where its figure comes from: the worst of some figures that were measured."""

    name: str
    relation: Relation
    bar: float
    unit: str
    figures: Callable[[Samples], Iterable[str]]

    def __str__(self) -> str:
        return f"{self.relation} {self.bar:g}{self.unit}"

    def held(self, samples: Samples) -> Held | None:
        """The figure beside the bar; None where it was not measured."""
        names = [name for name in self.figures(samples) if name in samples]
        if not names:
            return None
        sign = 1 if self.relation == "at least" else -1
        worst = min(names, key=lambda name: sign * _number(samples[name].median, -sign))
        return Held(self, worst, samples[worst])


@dataclass(frozen=True, slots=True)
class Held:
    """A target with what was measured."""

    target: Target
    of: str
    """Name of the worst figure, which counts."""
    figure: Figure

    @property
    def passed(self) -> bool:
        """Whether the median is on the right side of the bar."""
        if self.target.relation == "at least":
            return self.figure.median >= self.target.bar
        return self.figure.median <= self.target.bar

    def as_json(self) -> dict[str, Any]:
        """For the JSON report."""
        return {
            "name": self.target.name,
            "bar": str(self.target),
            "measured": float(f"{self.figure.median:.4g}"),
            "quartiles": [float(f"{one:.4g}") for one in (self.figure.low, self.figure.high)],
            "of": self.of,
            "pass": self.passed,
        }


def hold(samples: Samples) -> list[Held]:
    """All targets whose figures were measured."""
    return [held for target in TARGETS if (held := target.held(samples)) is not None]


def _number(value: float, otherwise: int) -> float:
    """A value, or infinity on the wrong side where it is none: nothing was measured then."""
    return math.copysign(math.inf, otherwise) if math.isnan(value) else value


def _at_least(name: str, bar: float, *of: str) -> Target:
    return Target(name, "at least", bar, "", lambda _: of)


def _at_most(name: str, bar: float, *of: str, unit: str = "") -> Target:
    return Target(name, "at most", bar, unit, lambda _: of)


def _steps(curve: str) -> Target:
    def names(samples: Samples) -> Iterator[str]:
        return (name for name in samples.names() if name.startswith(f"step/{curve}/"))

    return Target(f"worst step of a doubling: {curve}", "at least", 0.95, "", names)


TARGETS = (
    _at_least(
        "tokens/s over raw, 32 texts a call", 0.85, *(f"over_raw/batch32/{k}" for k in _KINDS)
    ),
    _at_least("tokens/s over raw, single 16-token texts", 0.60, "over_raw/single/16"),
    _at_least("tokens/s over raw, single 64-token texts", 0.80, "over_raw/single/64"),
    _at_most(
        "server CPU over engine CPU a text, 32 texts a call",
        1.2,
        *(f"cpu_over_raw/batch32/{kind}" for kind in _KINDS),
    ),
    _at_most("server CPU over engine CPU a text, single 16-token", 1.7, "cpu_over_raw/single/16"),
    _at_most("time of four tasks over one", 1.05, "four_tasks_over_one"),
    _at_least(
        "mixed over equal lengths, tokens/s",
        0.90,
        "mixed_over_equal/single",
        "mixed_over_equal/batch32",
    ),
    _at_most("unloaded p50 over raw engine + echo RPC", 1.3, "unloaded_over_parts"),
    _at_most("p99 at 70 % over unloaded p50", 4.0, "p99_at_70_over_unloaded"),
    _at_least("goodput at 150 % over peak", 0.95, "open/150/goodput_over_peak"),
    _at_most("accepted p99 at 150 % over the deadline", 1.0, "p99_at_150_over_deadline"),
    _at_most("p99 of refusals at 150 %", 0.005, "open/150/refused_p99", unit=" s"),
    _at_most("ready to serve", 2.0, "start/ready_seconds", unit=" s"),
    _at_most(
        "resident memory, ready and after load",
        350,
        "start/ready_mebibytes",
        "start/loaded_mebibytes",
        unit=" MiB",
    ),
    _steps("connections"),
    _steps("batch"),
    _steps("heads"),
)
