"""Tensors of the Open Inference Protocol: data types and the raw form of their elements."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Datatype = Literal["BYTES", "FP32", "INT32"]
Values = list[bytes] | NDArray[Any]
"""Elements in row-major order: a list for BYTES, else an array of any shape."""

_LENGTH = struct.Struct("<I")
_RAW_TYPES = {"FP32": np.dtype("<f4"), "INT32": np.dtype("<i4")}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One output with its elements."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    values: Values

    def raw(self) -> bytes:
        """The raw form: each of BYTES behind its length in 4 bytes; numbers little-endian."""
        if isinstance(self.values, list):
            return join(self.values)
        return self.values.astype(_RAW_TYPES[self.datatype]).tobytes()

    def numbers(self) -> list[Any]:
        """The elements of a tensor of numbers, flat."""
        assert not isinstance(self.values, list)  # noqa: S101 - callers look at the data type
        return list(self.values.ravel().tolist())


def join(elements: Sequence[bytes]) -> bytes:
    """The raw form of BYTES."""
    return b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))


def split(raw: bytes, count: int) -> list[bytes]:
    """The elements of BYTES in raw form.

    Args:
        raw: each element behind its length in 4 bytes.
        count: how many there should be.

    Raises:
        ValueError: there are more or fewer, or the last one is cut short.
    """
    elements: list[bytes] = []
    at = 0
    for _ in range(count):
        if at + _LENGTH.size > len(raw):
            raise ValueError(f"expected {count} elements but got {len(elements)}")
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size + length
        if at > len(raw):
            raise ValueError(f"element {len(elements)} is cut short")
        elements.append(raw[at - length : at])
    if at != len(raw):
        raise ValueError(f"{len(raw) - at} bytes are left over after {count} elements")
    return elements
