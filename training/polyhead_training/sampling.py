"""How often training meets each source: in proportion to its size, or more evenly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from polyhead_training.config_types import SamplingKind

_PHASES = 10
"""Parts of training that each have their own shares where shares change."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How steps are shared among the sources."""

    kind: SamplingKind = "proportional"
    temperature: float = 1.0
    """Flattens the shares: a source gets one in proportion to its size to the power 1 / T."""

    def order(self, sizes: Sequence[int], rng: random.Random) -> list[int]:
        """The source of each step.

        Args:
            sizes: steps of each source, if all were taken; as many steps are shared out.
            rng: shuffles.
        """
        total = sum(sizes)
        phases = min(total, _PHASES if self.kind == "annealed" else 1)
        order: list[int] = []
        for phase in range(phases):
            steps = total * (phase + 1) // phases - len(order)
            counts = _shared_out(steps, [size ** self._power(phase, phases) for size in sizes])
            part = [source for source, count in enumerate(counts) for _ in range(count)]
            rng.shuffle(part)
            order += part
        return order

    def _power(self, phase: int, phases: int) -> float:
        """From 1 to 1 / T over training where it is annealed (Stickland and Murray 2019)."""
        if self.kind == "proportional":
            return 1.0
        gone = phase / max(1, phases - 1) if self.kind == "annealed" else 1.0
        return 1 - (1 - 1 / self.temperature) * gone


def _shared_out(count: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to the weights, that sum to the count (largest remainders)."""
    shares = [count * weight / sum(weights) for weight in weights]
    whole = [int(share) for share in shares]
    by_remainder = sorted(range(len(shares)), key=lambda n: whole[n] - shares[n])
    for source in by_remainder[: count - sum(whole)]:
        whole[source] += 1
    return whole
