"""Windows of different length in one flat batch without padding between them.

Each token carries the number of its window; the encoder lets a token attend to its own window
only. The batch's length is rounded up to a step of a ladder, so that few lengths have to be warmed;
the tokens that fill it up form a window of their own.

Attention computes a score for every pair of tokens, whether they are of one window or not. So a
batch of short windows is laid out in rows that no window crosses, and tokens meet those of their
row only; all else is computed for the flat batch. An engine that knows nothing of rows gives the
same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from polyhead_server.bundle import LONGEST_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyhead_server.encoding import IntArray, Window

FILL_SEGMENT = -1
"""Window number of the tokens that fill a batch up."""

STEP = 16
"""Batch lengths are rounded up to a multiple of this up to ``FINE``."""
FINE = 256
GROWTH = 4
"""Above, both the limit and the step grow by this factor, again and again: each length that is in
use takes memory, so that there must be few of them however long batches become."""
ROW = 64
"""Tokens of a row. Each length has to be warmed, too: one is enough for most of the gain."""
_SQUARE_TOKENS = 512.0
"""Length of a row at which attention takes as long as all else, roughly: 200 with AMX, 1,000 with
VNNI. It decides between one row and several where these must be filled up more."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the windows of a batch lie."""

    starts: list[int]
    """First token of each window."""
    size: int
    """Tokens of the batch, those that fill it up included."""
    row: int
    """Tokens of a row, which divides the size; no window lies in two."""

    @property
    def cost(self) -> float:
        """What its run takes, by comparison."""
        return self.size * (1 + self.row / _SQUARE_TOKENS)


@dataclass(frozen=True, slots=True)
class Packed:
    """Encoder input for several windows, each array [N]."""

    ids: IntArray
    positions: IntArray
    segments: IntArray
    shapes: IntArray
    starts: tuple[int, ...]
    """First token of each window."""
    used: int
    """Tokens of windows; the rest fill the batch up."""
    row: int = 0
    """Tokens of a row of the layout; 0 where all are in one."""

    @property
    def laid_out(self) -> IntArray:
        """The segments row by row, [N / row, row]."""
        return self.segments.reshape(-1, self.row or len(self.segments))

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


def ladder_of_rows(most: int) -> list[int]:
    """All lengths of batches in several rows that there are for up to ``most`` tokens.

    Rows that are not full can make a batch longer than its tokens are in one row, and be worth it.
    """
    flat = ladder_length(most)
    dearest = Layout([], flat, flat).cost
    # More than half of each row is full, but for one: two that are not would be one.
    found = [length for length in ladder(2 * most + ROW) if length > ROW and length % ROW == 0]
    return [length for length in found if Layout([], length, ROW).cost < dearest]


def layout(lengths: Sequence[int]) -> Layout:
    """Lay windows of these lengths out in the way that costs least."""
    flat = one_row(lengths)
    if flat.size <= ROW or max(lengths) > ROW:
        return flat
    return min(flat, _several_rows(lengths), key=lambda one: one.cost)


def one_row(lengths: Sequence[int]) -> Layout:
    """Lay windows out behind each other."""
    *starts, used = accumulate(lengths, initial=0)
    size = ladder_length(used)
    return Layout(starts, size, size)


def _several_rows(lengths: Sequence[int]) -> Layout:
    """Lay windows out in rows: the longest first, each in the first row that has room."""
    starts = [0] * len(lengths)
    filled: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        length = lengths[number]
        at = next((row for row, end in enumerate(filled) if end + length <= ROW), len(filled))
        if at == len(filled):
            filled.append(0)
        starts[number] = at * ROW + filled[at]
        filled[at] += length
    return Layout(starts, ladder_length(ROW * len(filled)), ROW)


def pack(windows: Sequence[Window], position_offset: int = 0) -> Packed:
    """Lay windows behind each other."""
    return _packed(windows, one_row, position_offset)


def pack_rows(windows: Sequence[Window], position_offset: int = 0) -> Packed:
    """Lay windows out in the way that costs least: anywhere, in one row or in several."""
    return _packed(windows, layout, position_offset)


def _packed(
    windows: Sequence[Window],
    lay_out: Callable[[Sequence[int]], Layout],
    position_offset: int,
) -> Packed:
    lengths = [len(window.ids) for window in windows]
    plan = lay_out(lengths)
    size = plan.size
    ids, positions, shapes = np.zeros((3, size), np.int32)
    segments = np.full(size, FILL_SEGMENT, np.int32)
    for number, (window, start, length) in enumerate(
        zip(windows, plan.starts, lengths, strict=True)
    ):
        end = start + length
        ids[start:end] = window.ids
        shapes[start:end] = window.shapes
        positions[start:end] = _COUNT[:length]
        segments[start:end] = number
    if position_offset:
        positions += position_offset
    return Packed(ids, positions, segments, shapes, tuple(plan.starts), sum(lengths), plan.row)


_COUNT = np.arange(LONGEST_WINDOW, dtype=np.int32)
