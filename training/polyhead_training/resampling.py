"""How sure a figure is: bootstrap intervals and tests of differences, over whole texts.

Texts are drawn again with replacement (Efron 1979), both systems' answers together (the paired
bootstrap); a difference is tested by exchanging the two systems' answers text by text (approximate
randomisation: Noreen 1989; Yeh 2000) and, where each text is right or wrong, by McNemar's exact
test.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = 2000
_PERCENTILES = (2.5, 97.5)
_BLOCK = 4_000_000
"""Random numbers at once."""

Counts = NDArray[np.float32]
Floats = NDArray[np.float64]


def resampled_totals(counts: Counts, samples: int, seed: int) -> Floats:
    """Sums of counts over texts drawn with replacement.

    Args:
        counts: by text, [D, ...]; D at least 1.
        samples: number of resamples.
        seed: of the draw.

    Returns:
        [samples, ...].
    """
    rng = np.random.default_rng(seed)
    texts = len(counts)
    flat = counts.reshape(texts, -1)
    rows = []
    for part in _blocks(samples, texts):
        drawn = rng.integers(0, texts, (part, texts))
        drawn += np.arange(part)[:, None] * texts
        weights = np.bincount(drawn.ravel(), minlength=part * texts).reshape(part, texts)
        rows.append(weights.astype(np.float32) @ flat)
    return np.concatenate(rows).astype(np.float64).reshape(samples, *counts.shape[1:])


def interval(values: Floats) -> tuple[Floats, Floats]:
    """The 95 % interval of resampled values along the first axis; NaN where all are."""
    with np.errstate(invalid="ignore"):
        empty = np.isnan(values).all(axis=0)
        low, high = np.nanpercentile(np.where(empty, 0, values), _PERCENTILES, axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def randomisation_p(
    a: Counts, b: Counts, figure: Callable[[Floats], Floats], samples: int, seed: int
) -> float:
    """Probability of a difference as large as that of two systems if they were alike.

    Args:
        a: one system's counts by text, [D, ...].
        b: the other's, of the same texts.
        figure: from sums, [..., *rest], to a value, [...].
        samples: number of exchanges; the result is at least 1 / (samples + 1).
        seed: of the exchanges.
    """
    rng = np.random.default_rng(seed)
    flat = (b - a).reshape(len(a), -1)
    changes = flat[flat.any(axis=1)]
    first, second = a.sum(axis=0, dtype=np.float64), b.sum(axis=0, dtype=np.float64)
    seen = abs(float(figure(second) - figure(first)))
    if not len(changes):
        return 1.0
    as_large = 0
    for part in _blocks(samples, len(changes)):
        swap = rng.integers(0, 2, (part, len(changes)), dtype=np.int8).astype(np.float32)
        moved = (swap @ changes).astype(np.float64).reshape(part, *a.shape[1:])
        found = np.abs(figure(second - moved) - figure(first + moved))
        as_large += int((found >= seen - 1e-12).sum())
    return (as_large + 1) / (samples + 1)


def mcnemar_p(a_only: int, b_only: int) -> float:
    """McNemar's exact two-sided test.

    Args:
        a_only: texts that only one system has right.
        b_only: texts that only the other has right.
    """
    count, less = a_only + b_only, min(a_only, b_only)
    logs = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        for k in range(less + 1)
    ]
    tail = math.fsum(math.exp(value - count * math.log(2)) for value in logs)
    return min(1.0, 2 * tail)


def holm(values: list[float], level: float = 0.05) -> list[bool]:
    """Which of several p-values hold at a level for all together (Holm 1979)."""
    order = sorted(range(len(values)), key=values.__getitem__)
    kept = [False] * len(values)
    for rank, place in enumerate(order):
        if values[place] > level / (len(values) - rank):
            break
        kept[place] = True
    return kept


def _blocks(samples: int, width: int) -> list[int]:
    """Sizes of blocks of samples that fit in memory."""
    size = max(1, _BLOCK // max(1, width))
    whole, rest = divmod(samples, size)
    return [size] * whole + ([rest] if rest else [])
