"""Scores that mean what they say: one temperature a head, fitted on dev data.

Temperature scaling (Guo et al. 2017) divides a head's logits by one number, so that its scores
become as high as its answers are right; the answers stay the same. It is fitted to what the served
encoder gives. Measured is the expected calibration error of what is served: of labels, of words'
tags, or of predicted spans.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from polyhead_server.spans import best_path, read_spans
from polyhead_training.objective import cross_entropy, outcome_logits
from polyhead_training.reliability import reliability_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from polyhead_training.scored import Floats, Scored

COLDEST, HOTTEST = 0.05, 20.0
_STEPS = 40
_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """Expected calibration error of one part of a data set, from 0 to 1."""

    source: str
    split: str
    count: int
    """Labels, tags or predicted spans."""
    before: float
    """At temperature 1."""
    after: float


@dataclass(frozen=True, slots=True)
class HeadCalibration:
    """One head's temperature and what it did."""

    head: str
    temperature: float
    errors: tuple[CalibrationError, ...]


def fit_temperature(parts: Sequence[Scored]) -> float:
    """The temperature that makes right answers the most likely, every part counting the same.

    What a source cannot tell apart is compared as it is in training. For spans, words that nothing
    reads as part of a span do not count, since no score of theirs is served.

    Each part has one more row, of no label more than another: a head that is always right on little
    data does not become sure beyond measure.

    Args:
        parts: dev data of one head.

    Returns:
        From `COLDEST` to `HOTTEST`; 1 where there is nothing to go by.
    """
    losses = [loss for part in parts if (loss := _loss(part))]
    if not losses:
        return 1.0
    return math.exp(
        _least(
            lambda log: sum(loss(math.exp(log)) for loss in losses) / len(losses),
            math.log(COLDEST),
            math.log(HOTTEST),
        )
    )


def calibration_error(part: Scored, temperature: float) -> tuple[float, int] | None:
    """Expected calibration error at a temperature, and the number of answers; None for none."""
    scores, right = _answers(part, temperature)
    found = reliability_of(scores, right)
    return (found.error, found.count) if found else None


def calibrate(head: str, parts: Sequence[Scored]) -> HeadCalibration | None:
    """Fit a head's temperature on its dev data, and measure it on all; None without dev data."""
    dev = [part for part in parts if part.split == "dev"]
    if not dev:
        return None
    # As the bundle will hold it: later readers scale by the very same number.
    heat = float(np.float32(fit_temperature(dev)))
    return HeadCalibration(head, heat, tuple(_errors(parts, heat)))


def heated(tensors: Mapping[str, Floats], temperature: float) -> dict[str, Floats]:
    """A head's tensors at a temperature; the cost of neighbouring spans is scaled with its scores.

    The server divides the last matrix by the temperature as it loads it.
    """
    scaled = dict(tensors) | {"temperature": np.full(1, temperature, np.float32)}
    if "adjacent" in tensors:
        scaled["adjacent"] = (tensors["adjacent"] / np.float32(temperature)).astype(np.float32)
    return scaled


def same_but_for_temperature(a: Mapping[str, Floats], b: Mapping[str, Floats]) -> bool:
    """Whether two heads hold the same weights, whatever their temperatures."""
    names = {"temperature", "adjacent"}
    return (
        a.keys() - {"temperature"} == b.keys() - {"temperature"}
        and all(np.array_equal(a[name], b[name]) for name in a.keys() - names)
        and bool(np.allclose(_adjacent(a), _adjacent(b), rtol=1e-5))
    )


def _adjacent(tensors: Mapping[str, Floats]) -> float:
    parts = [float(tensors[name][0]) for name in ("adjacent", "temperature") if name in tensors]
    return math.prod(parts) if "adjacent" in tensors else 0.0


def _errors(parts: Sequence[Scored], heat: float) -> Iterator[CalibrationError]:
    for part in parts:
        before, after = calibration_error(part, 1.0), calibration_error(part, heat)
        if before and after:
            yield CalibrationError(part.source, part.split, after[1], before[0], after[0])


def _loss(part: Scored) -> Callable[[float], float] | None:
    """Mean cross entropy of a part by temperature; None where no row counts."""
    counted = _counted(part)
    if not counted.any():
        return None
    logits = torch.from_numpy(part.logits[counted])
    gold = torch.from_numpy(part.gold[counted])
    smoothing = 1 / (len(gold) + 1)
    return lambda heat: float(cross_entropy(logits / heat, gold, part.outcomes, smoothing))


def _counted(part: Scored) -> NDArray[np.bool_]:
    if part.kind != "spans":
        return np.ones(len(part.logits), np.bool_)
    best: NDArray[np.bool_] = _probabilities(part, 1.0).argmax(axis=1) > 0
    return best


def _probabilities(part: Scored, heat: float) -> Floats:
    """Of each outcome that the source can tell apart, [R, outcomes]."""
    logits = torch.from_numpy(part.logits) / heat
    if part.outcomes is not None:
        logits = outcome_logits(logits, part.outcomes)
    found: Floats = torch.softmax(logits, dim=1).numpy()
    return found


def _answers(part: Scored, heat: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Score of each answer, and whether it is right."""
    if part.kind == "spans":
        pairs = list(_spans(part, heat))
        return np.array([s for s, _ in pairs], np.float64), np.array([r for _, r in pairs], bool)
    found = _probabilities(part, heat)
    gold = part.gold if part.outcomes is None else part.outcomes.numpy()[part.gold]
    return found.max(axis=1).astype(np.float64), found.argmax(axis=1) == gold


def _spans(part: Scored, heat: float) -> Iterator[tuple[float, bool]]:
    """Spans as they are served; those of kinds that the source does not mark do not count."""
    scores: Floats = torch.softmax(torch.from_numpy(part.logits) / heat, dim=1).numpy()
    for start, end in zip((0, *part.ends[:-1]), part.ends, strict=True):
        rows = scores[start:end]
        gold = {(s.first, s.end, s.label) for s in read_spans(part.gold[start:end], rows)}
        for span in read_spans(best_path(rows, part.adjacent / heat), rows):
            if part.labels is None or span.label in part.labels:
                yield span.score, (span.first, span.end, span.label) in gold


def _least(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function of one valley has its least value, by golden section search."""
    left, right = high - _RATIO * (high - low), low + _RATIO * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(_STEPS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _RATIO * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _RATIO * (high - low)
            at_right = function(right)
    return (low + high) / 2
