"""Spans from word scores: the best sequence of O, B-x, I-x that is well-formed.

Output 0 is O; label x has outputs 2x + 1 (B, its first word) and 2x + 2 (I, its further words).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Scores = NDArray[np.float32]
Path = NDArray[np.intp]

_NEVER = -1e9
_FLOOR = np.float32(1e-30)


@dataclass(frozen=True, slots=True)
class SpanOutput:
    """A labelled run of words."""

    first: int
    """Its first word."""
    end: int
    """The word behind its last."""
    label: int
    """Index of the label."""
    score: float
    """Mean over its words of the probability of the label, B and I together."""


def best_path(scores: Scores, adjacent: float = 0.0) -> Path:
    """Best well-formed output sequence, [W]: the most probable, less the cost of adjacent spans.

    Args:
        scores: probability of each output for each word, [W, 2L + 1].
        adjacent: cost, in nats and at least 0, of a span that begins right behind another of the
            same label. Real text seldom has such spans, but each word's scores by themselves
            easily cut one span in two.

    I-x may follow only B-x or I-x. The sequence of each word's best output is taken where it obeys
    that rule and costs nothing, which is nearly always; otherwise the Viterbi algorithm finds the
    best one.
    """
    path: Path = scores.argmax(axis=1)
    if _free(path.tolist()):
        return path
    return np.array(_viterbi(scores, adjacent), np.intp)


def _free(path: Sequence[int]) -> bool:
    """Whether a sequence is well-formed and has no adjacent spans of one label."""
    before = 0
    for output in path:
        if output:
            begins = output % 2 == 1
            if begins == ((output + 1) // 2 == (before + 1) // 2):
                return False
        before = output
    return True


def _viterbi(scores: Scores, adjacent: float) -> list[int]:
    """The best path by dynamic programming; in lists, since arrays of a few numbers take longer."""
    logs: list[list[float]] = np.log(np.maximum(scores, _FLOOR)).tolist()
    total = logs[0][:]
    for inside in range(2, len(total), 2):
        total[inside] += _NEVER
    steps = []
    for log in logs[1:]:
        total, before = _step(total, log, adjacent)
        steps.append(before)
    path = [total.index(max(total))]
    for before in reversed(steps):
        path.append(before[path[-1]])
    return path[::-1]


def _step(total: list[float], log: list[float], adjacent: float) -> tuple[list[float], list[int]]:
    """Go on by one word: what each output adds up to then, and the output before it."""
    best = max(total)
    at = total.index(best)
    after = [best + value for value in log]
    before = [at] * len(log)
    for begin in range(1, len(log), 2):
        inside = begin + 1
        source = begin if total[begin] >= total[inside] else inside
        after[inside], before[inside] = total[source] + log[inside], source
        if adjacent and at in (begin, inside):
            after[begin], before[begin] = _begun(total, log[begin], at, begin, adjacent)
    return after, before


def _begun(
    total: list[float], log: float, at: int, begin: int, adjacent: float
) -> tuple[float, int]:
    """Begin a span where the best output so far is of its label: at a cost, or behind another."""
    others = [value for output, value in enumerate(total) if output not in (begin, begin + 1)]
    paid, other = total[at] - adjacent, max(others)
    if paid >= other:
        return paid + log, at
    source = others.index(other)
    return other + log, source if source < begin else source + 2


def read_spans(path: Path, scores: Scores) -> tuple[SpanOutput, ...]:
    """Read the spans off a well-formed output sequence."""
    return _read(path.tolist(), _by_label(scores).tolist())


def find_spans(
    scores: Scores, bounds: Sequence[int], adjacent: float
) -> list[tuple[SpanOutput, ...]]:
    """Read the spans off the best well-formed output sequence of each of several documents.

    Args:
        scores: probability of each output for each word of all documents, [W, 2L + 1].
        bounds: first word of each document, and at the end the number of words.
        adjacent: as in ``best_path``.
    """
    best: list[int] = scores.argmax(axis=1).tolist()
    by_label: list[list[float]] = _by_label(scores).tolist() if any(best) else []
    found = []
    for start, end in pairwise(bounds):
        path = best[start:end]
        if any(path):
            if not _free(path):
                path = _viterbi(scores[start:end], adjacent)
            found.append(_read(path, by_label[start:end]))
        else:
            found.append(())
    return found


def _by_label(scores: Scores) -> Scores:
    """Probability of each label for each word, B and I together, [W, L]."""
    return scores[:, 1::2] + scores[:, 2::2]


def _read(path: Sequence[int], by_label: Sequence[Sequence[float]]) -> tuple[SpanOutput, ...]:
    starts = [word for word, output in enumerate(path) if output % 2 == 1]
    return tuple(_span(path, by_label, start) for start in starts)


def _span(path: Sequence[int], by_label: Sequence[Sequence[float]], start: int) -> SpanOutput:
    inside = path[start] + 1
    label = path[start] // 2
    end = start + 1
    while end < len(path) and path[end] == inside:
        end += 1
    score = sum(word[label] for word in by_label[start:end]) / (end - start)
    return SpanOutput(start, end, label, min(score, 1.0))
