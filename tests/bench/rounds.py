"""Measuring side by side: every arm has its turn in every round, forth and then back.

A machine that slows down for a while then slows all arms alike, and ratios within one round hold
where absolute figures do not. Medians over the rounds are quoted, with the quartiles beside them.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Figure:
    """A median over rounds with its quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """The figure of one value a round, at least one."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, middle, high = quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high)

    def __str__(self) -> str:
        return f"{self.median:.4g} ({self.low:.4g} to {self.high:.4g})"


class Samples:
    """One value a round of every figure, named `arm/figure`."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = defaultdict(list)

    def add(self, arm: str, figures: Mapping[str, float]) -> None:
        """Keep what an arm gave in a round."""
        for name, value in figures.items():
            self._values[f"{arm}/{name}"].append(value)

    def update(self, other: Samples) -> None:
        """Keep another part's samples too."""
        self._values |= other._values

    def names(self) -> list[str]:
        """Names of all figures."""
        return list(self._values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> Figure:
        return Figure.of(self._values[name])

    def derive(self, name: str, compute: Callable[..., float], *of: str) -> None:
        """Add a figure that is made of others, round by round."""
        rounds = zip(*(self._values[one] for one in of), strict=True)
        self._values[name] = [compute(*values) for values in rounds]


def over(one: float, other: float) -> float:
    """A ratio; NaN where nothing is below."""
    return one / other if other else float("nan")


def take_turns(
    title: str,
    arms: Mapping[str, Callable[[], dict[str, float]]],
    rounds: int,
    *,
    warm: bool = True,
) -> Samples:
    """Let arms take turns.

    Args:
        title: for the lines of progress on standard error.
        arms: what to measure, by name.
        rounds: how often.
        warm: have a round before that does not count.
    """
    samples = Samples()
    for number in range(0 if warm else 1, rounds + 1):
        order = list(arms) if number % 2 else list(reversed(list(arms)))
        for name in order:
            figures = arms[name]()
            if number:
                samples.add(name, figures)
        print(f"{title}: round {number} of {rounds}", file=sys.stderr, flush=True)
    return samples
