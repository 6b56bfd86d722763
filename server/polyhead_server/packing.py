"""Windows of different length in one flat batch without padding between them.

Each token carries the number of its window; the encoder lets a token attend to its own window
only. The batch's length is rounded up to a step of a ladder, so that few lengths have to be warmed;
the tokens that fill it up form a window of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polyhead_server.bundle import LONGEST_WINDOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.encoding import IntArray, Window

FILL_SEGMENT = -1
"""Window number of the tokens that fill a batch up."""

STEP = 16
"""Batch lengths are rounded up to a multiple of this up to ``FINE``."""
FINE = 256
GROWTH = 4
"""Above, both the limit and the step grow by this factor, again and again: each length that is in
use takes memory, so that there must be few of them however long batches become."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Encoder input for several windows, each array [N]."""

    ids: IntArray
    positions: IntArray
    segments: IntArray
    shapes: IntArray
    starts: tuple[int, ...]
    """First row of each window."""
    used: int
    """Rows that hold tokens of windows; the rest fill the batch up."""

    @property
    def columns(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """The arrays, in the order of the encoder's inputs."""
        return self.ids, self.positions, self.segments, self.shapes


def ladder_length(tokens: int) -> int:
    """Length of the batch that holds so many tokens."""
    step, limit = STEP, FINE
    while tokens > limit:
        step, limit = step * GROWTH, limit * GROWTH
    return math.ceil(tokens / step) * step


def ladder(most: int) -> list[int]:
    """All batch lengths up to the one that holds ``most`` tokens."""
    lengths = {ladder_length(tokens) for tokens in range(1, most + 1)}
    return sorted(lengths)


def pack(windows: Sequence[Window], position_offset: int = 0) -> Packed:
    """Lay windows behind each other."""
    lengths = [len(window.ids) for window in windows]
    used = sum(lengths)
    size = ladder_length(used)
    ids, positions, shapes = np.zeros((3, size), np.int32)
    segments = np.full(size, FILL_SEGMENT, np.int32)
    starts = []
    row = 0
    for number, (window, length) in enumerate(zip(windows, lengths, strict=True)):
        end = row + length
        ids[row:end] = window.ids
        shapes[row:end] = window.shapes
        positions[row:end] = _COUNT[:length]
        segments[row:end] = number
        starts.append(row)
        row = end
    if position_offset:
        positions += position_offset
    return Packed(ids, positions, segments, shapes, tuple(starts), used)


_COUNT = np.arange(LONGEST_WINDOW, dtype=np.int32)
