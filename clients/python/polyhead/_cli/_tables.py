"""Rows of CSV and TSV, one at a time, with their lines and sizes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

USUAL = "text"
"""The column or field that holds the document where none is named."""

_LARGEST_CELL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        line: The line on which it ends, from 1.
        cells: Its cells. Bytes that are not UTF-8 stand in them as lone surrogates.
        bytes: What it took up.
        fault: Why it could not be read, or empty.
    """

    line: int
    cells: list[str]
    bytes: int
    fault: str = ""

    def problem(self, width: int, text: str) -> str:
        """Say why it cannot be annotated; empty where it can.

        Args:
            width: The number of columns.
            text: The cell to annotate.
        """
        if self.fault:
            return self.fault
        if len(self.cells) != width:
            return f"has {len(self.cells)} cells where the header has {width}"
        try:
            text.encode()
        except UnicodeEncodeError:
            return "not UTF-8"
        return ""


def read(lines: Iterable[bytes], delimiter: str) -> Iterator[Row]:
    """Give the rows that are not blank, the header first. Quoted cells may hold line ends."""
    csv.field_size_limit(_LARGEST_CELL)
    counted = _Counted(lines)
    reader = csv.reader(counted, delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(reader.line_num, [], counted.take(), f"not CSV: {error}")
            continue
        if cells:
            yield Row(reader.line_num, cells, counted.take())


class HeaderError(ValueError):
    """A header that cannot be read; says where, and why."""


def header(rows: Iterator[Row]) -> list[str]:
    """Take the header off; empty where there is none.

    Raises:
        HeaderError: It cannot be read, so that nobody knows what the rows hold.
    """
    row = next(rows, None)
    if row is None:
        return []
    if row.fault:
        raise HeaderError(f"line {row.line}: the header is {row.fault}")
    return row.cells


class _Counted(Iterator[str]):
    """Decodes lines and counts their bytes."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._bytes = 0
        self._coding = "utf-8-sig"  # of the first line alone

    def __next__(self) -> str:
        line = next(self._lines)
        self._bytes += len(line)
        coding, self._coding = self._coding, "utf-8"
        return line.decode(coding, "surrogateescape")

    def take(self) -> int:
        """Give the bytes since the last time."""
        taken, self._bytes = self._bytes, 0
        return taken
