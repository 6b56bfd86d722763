"""Offsets into a text in the unit that the caller counts in."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_LAST_ASCII = 0x7F
_LAST_TWO_BYTES = 0x7FF
_LAST_OF_PLANE_ZERO = 0xFFFF


class Unit(Enum):
    """What offsets count."""

    CODE_POINT = "code point"
    UTF8_BYTE = "utf-8 byte"
    UTF16 = "utf-16 unit"


def in_unit(text: str, unit: Unit, spans: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Give spans of code points in another unit.

    Args:
        text: the text that the spans refer to.
        unit: the unit to count in.
        spans: [start, end) in code points.

    Returns:
        The same spans in `unit`; the very object given where nothing changes.
    """
    if unit is Unit.CODE_POINT or text.isascii():
        return spans
    if unit is Unit.UTF16 and max(text) <= "\uffff":
        return spans
    starts = _unit_starts(text, unit)
    return [(starts[first], starts[end]) for first, end in spans]


def _unit_starts(text: str, unit: Unit) -> list[int]:
    """Offset of each code point in the unit, and at the end the length of the text."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    widths = np.ones(len(points) + 1, np.int64)
    widths[0] = 0
    if unit is Unit.UTF8_BYTE:
        widths[1:] += points > _LAST_ASCII
        widths[1:] += points > _LAST_TWO_BYTES
    widths[1:] += points > _LAST_OF_PLANE_ZERO
    starts: list[int] = widths.cumsum().tolist()
    return starts
