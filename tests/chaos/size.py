"""How much of each fault is done: little in CI, much by `make chaos`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Numbers of the trials."""

    seconds: float
    """Length of load and of faults that last."""
    kills: int
    rude: int
    """Callers with bad manners of each kind."""
    connections: int
    cancels: int
    resets: int
    most_late: float
    """Part of the calls of an overload that may be let in and yet be too late: forecasts are no
    prophecies, and in a second of which a busy machine takes half they are worth little. Without
    forecasts a third is late."""


SHORT = Size(
    seconds=1.0, kills=1, rude=8, connections=300, cancels=500, resets=3_000, most_late=0.2
)
LONG = Size(
    seconds=10.0,
    kills=5,
    rude=100,
    connections=10_000,
    cancels=20_000,
    resets=100_000,
    most_late=0.02,
)
