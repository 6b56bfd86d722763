"""Texts for annotation, read one by one from files of any size; what cannot be read is told apart.

Unlike the readers of training data these need no labels, keep every field of a row, read standard
input, and hold one record at a time.
"""

from __future__ import annotations

import csv
import gzip
import sys
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Literal, cast, get_args

from polyhead_training.data.conll import starts_document
from polyhead_training.data.files import HOLDS_CR
from polyhead_training.data.rows import LONGEST_FIELD
from polyhead_training.predict_rows import (
    FieldNames,
    RowError,
    conll_row,
    conllu_row,
    csv_row,
    json_row,
    text_row,
)
from polyhead_training.problems import InputError, Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from polyhead_training.predict_rows import Row

InputFormat = Literal["text", "jsonl", "csv", "tsv", "conllu", "conll"]
INPUT_FORMATS: tuple[InputFormat, ...] = get_args(InputFormat)

LONGEST_LINE = 32 * 1024 * 1024
"""Bytes of a line that are read; a longer one is refused, so that memory stays bounded."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Item:
    """One record that was read."""

    line: int
    """Where it starts, from 1."""
    row: Row
    raw: bytes
    """The record as it stands in the file."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One record that cannot be read."""

    line: int
    message: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Heading:
    """The row of column names, which records need that are to be read again."""

    raw: bytes


Record = Item | Refused | Heading


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the input."""

    number: int
    text: str
    """Without its end."""
    raw: bytes


class Lines:
    """The lines of a stream, decoded one by one.

    Args:
        stream: plain bytes.
        name: the input, as problems show it.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self.name = name
        self.number = 0
        self.bytes = 0
        """Bytes read so far."""

    def __iter__(self) -> Iterator[Line | Refused]:
        try:
            while raw := self._stream.readline(LONGEST_LINE):
                yield self._line(raw)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            yield Refused(self.number + 1, f"is not a whole gzip file: {error}", b"")

    def _line(self, raw: bytes) -> Line | Refused:
        self.number += 1
        self.bytes += len(raw)
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            self._skip_rest()
            return Refused(self.number, f"is longer than {LONGEST_LINE:,} bytes", b"")
        try:
            text = (raw.removeprefix(_BOM) if self.number == 1 else raw).decode()
        except UnicodeDecodeError as error:
            message = f"is not valid UTF-8 at byte {error.start + 1} of the line"
            return Refused(self.number, message, raw)
        return Line(self.number, text.rstrip("\r\n"), raw)

    def _skip_rest(self) -> None:
        while part := self._stream.readline(LONGEST_LINE):
            self.bytes += len(part)
            if part.endswith(b"\n"):
                return


@contextmanager
def open_lines(path: Path | None) -> Iterator[Lines]:
    """The lines of a file, plain or gzip, or of standard input for None.

    Raises:
        OSError: it cannot be opened.
    """
    if path is None:
        yield Lines(sys.stdin.buffer, "-")
        return
    with cast("IO[bytes]", gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as stream:
        yield Lines(stream, str(path))


def format_of(path: Path | None) -> InputFormat | None:
    """The format that a file's name tells, if it does; lines of text for standard input."""
    if path is None:
        return "text"
    ending = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    ending = "text" if ending == "txt" else ending
    return next((name for name in INPUT_FORMATS if name == ending), None)


def read_items(lines: Lines, form: InputFormat, names: FieldNames) -> Iterator[Record]:
    """The records of an input, in order.

    Args:
        lines: the input.
        form: its format.
        names: names of the fields to read.
    """
    match form:
        case "text":
            return _by_line(lines, text_row)
        case "jsonl":
            return _by_line(lines, partial(json_row, names))
        case "csv" | "tsv":
            return _Table(lines, names, "," if form == "csv" else "\t").items()
        case "conllu":
            return _by_sentence(lines, conllu_row)
        case "conll":
            return _by_sentence(lines, conll_row)


def _without_cr(line: Line | Refused) -> Line | Refused:
    """The line; a file whose lines end with CR alone would be one text."""
    if isinstance(line, Line) and "\r" in line.text:
        return Refused(line.number, HOLDS_CR, line.raw)
    return line


def _by_line(lines: Lines, read: Callable[[str], Row]) -> Iterator[Record]:
    for line in map(_without_cr, lines):
        if isinstance(line, Refused):
            yield line
        elif line.text.strip():
            yield _item(line.number, line.raw, partial(read, line.text))


def _by_sentence(lines: Lines, read: Callable[[list[str]], Row | None]) -> Iterator[Record]:
    """Sentences with a blank line or the start of a document between.

    One with an unreadable line is refused as a whole.
    """
    sentence: list[Line | Refused] = []
    for line in map(_without_cr, lines):
        if isinstance(line, Refused) or not _divides(line.text):
            sentence.append(line)
        else:
            yield from _sentence(sentence, read)
            sentence = []
    yield from _sentence(sentence, read)


def _divides(text: str) -> bool:
    return not text.strip() or starts_document(text)


def _sentence(
    lines: list[Line | Refused], read: Callable[[list[str]], Row | None]
) -> Iterator[Record]:
    if not lines:
        return
    raw = b"".join(line.raw for line in lines) + b"\n"
    if bad := next((line for line in lines if isinstance(line, Refused)), None):
        yield Refused(bad.line, bad.message, raw)
        return
    whole = [line for line in lines if isinstance(line, Line)]
    try:
        row = read([line.text for line in whole])
    except RowError as error:
        yield Refused(whole[error.place].number, str(error), raw)
        return
    if row is not None:
        yield Item(whole[0].number, row, raw)


def _item(line: int, raw: bytes, read: Callable[[], Row]) -> Record:
    try:
        return Item(line, read(), raw)
    except RowError as error:
        return Refused(line, str(error), raw)


class _Table:
    """CSV records below a header row; records may go over several lines."""

    def __init__(self, lines: Lines, names: FieldNames, delimiter: str) -> None:
        self._lines = lines
        self._wanted = names
        self._raw: list[bytes] = []
        self._bad: list[Refused] = []
        csv.field_size_limit(LONGEST_FIELD)
        self._reader = csv.reader(self._feed(), delimiter=delimiter, strict=True)

    def items(self) -> Iterator[Record]:
        header: list[str] | None = None
        for line, raw, cells in self._records():
            if isinstance(cells, str):
                yield Refused(line, cells, raw)
            elif header is not None:
                yield _item(line, raw, partial(csv_row, header, cells, self._wanted))
            elif self._wanted.text in cells:
                header = cells
                yield Heading(raw)
            else:
                hint = did_you_mean(self._wanted.text, cells)
                raise InputError(
                    [Problem(self._lines.name, line, f'has no column "{self._wanted.text}"{hint}')]
                )

    def _feed(self) -> Iterator[str]:
        for line in self._lines:
            self._raw.append(line.raw)
            if isinstance(line, Refused):
                self._bad.append(line)
                yield line.raw.decode(errors="replace")
            else:
                yield line.text + "\n"

    def _records(self) -> Iterator[tuple[int, bytes, list[str] | str]]:
        """Each record that is not blank, or what is wrong with it; reading goes on after it."""
        while True:
            self._raw.clear()
            self._bad.clear()
            line = self._lines.number + 1
            found: list[str] | str
            try:
                found = next(self._reader)
            except StopIteration:
                found = []
            except csv.Error as error:
                found = f"is not valid CSV: {error}"
            if self._bad:
                line, found = self._bad[0].line, self._bad[0].message
            if found:
                yield line, b"".join(self._raw), found
            elif not self._raw:
                return
