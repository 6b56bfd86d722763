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


SHORT = Size(seconds=1.0, kills=1, rude=8, connections=300, cancels=500, resets=3_000)
LONG = Size(seconds=10.0, kills=5, rude=100, connections=10_000, cancels=20_000, resets=100_000)
