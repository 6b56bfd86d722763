"""Documents from files and standard input, one at a time."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from polyhead import Document, Words
from polyhead._cli import _tables
from polyhead._cli._lines import Lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

STDIN = "-"

TEXT, WHOLE, JSONL, CSV, TSV, PARQUET = "text", "whole", "jsonl", "csv", "tsv", "parquet"
FORMATS = (TEXT, JSONL, CSV, TSV, PARQUET)
SUFFIXES = {
    ".txt": TEXT,
    ".jsonl": JSONL,
    ".ndjson": JSONL,
    ".csv": CSV,
    ".tsv": TSV,
    ".parquet": PARQUET,
}
_DELIMITERS = {CSV: ",", TSV: "\t"}


class UsageError(Exception):
    """The command cannot be done as it was given."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A document and where it came from.

    Attributes:
        place: Where, as in `notes.txt:12`; empty for the only text of a command.
        id: The id given with it; otherwise the place.
        document: The document.
        bytes: What it took up there.
        fields: Everything that its row holds, the document included. Empty for Parquet, whose
            other columns are read when the output is written.
        line: The row as it is written, where that is an object in JSON; empty elsewhere.
    """

    place: str
    id: str
    document: Document
    bytes: int
    fields: dict[str, Any] = field(default_factory=dict)
    line: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row or a file that holds no document: where and why."""

    place: str
    reason: str
    bytes: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    line: str = ""


Item: TypeAlias = Entry | Unreadable


class _RowError(Exception):
    """Why a row holds no document."""


class Entries:
    """The documents of files in order. What cannot be read has its place among them.

    Args:
        paths: The files; `-` is standard input.
        form: What they hold.
        column: The column or field with the document; None: the usual one.
        spool: Where standard input was put; None: it is read as it comes.
    """

    def __init__(
        self,
        paths: list[str],
        form: Callable[[str], str],
        column: str | None,
        spool: Path | None = None,
    ) -> None:
        self._paths = paths
        self._form = form
        self._column = column
        self._spool = spool
        self._lines: Lines | None = None

    def __iter__(self) -> Iterator[Item]:
        for path in self._paths:
            form = self._form(path)
            try:
                if form == PARQUET:
                    yield from _parquet(path, self._column)
                elif path == STDIN and self._spool is None:
                    self._lines = Lines(sys.stdin.buffer)
                    yield from self._read(path, form, self._lines)
                else:
                    with self._file(path).open("rb") as file:
                        yield from self._read(path, form, file)
            except OSError as error:
                yield Unreadable(path, error.strerror or str(error))

    def ready(self) -> bool:
        """Whether the next document is there without waiting."""
        return self._lines is None or self._lines.ready()

    def _file(self, path: str) -> Path:
        return self._spool if path == STDIN and self._spool is not None else Path(path)

    def _read(self, path: str, form: str, file: Iterable[bytes]) -> Iterator[Item]:
        if form == WHOLE:
            return _whole(path, file)
        if form in _DELIMITERS:
            return _csv(path, file, _DELIMITERS[form], self._column)
        return _jsonl(path, file, self._column) if form == JSONL else _text(path, file)


def form_of(path: str, given: str | None) -> str:
    """Give what a file holds: as was said, or by the end of its name."""
    return given or SUFFIXES.get(Path(path).suffix.lower(), TEXT)


def total_bytes(paths: list[str]) -> int | None:
    """Count the bytes to come; None where that cannot be known."""
    try:
        regular = all(path != STDIN and Path(path).is_file() for path in paths)
        return sum(Path(path).stat().st_size for path in paths) if regular else None
    except OSError:
        return None


def columns_of(path: str, form: str) -> list[str] | None:
    """Give the names of a table's columns; None for what is no table.

    Raises:
        UsageError: They cannot be read.
    """
    if form == PARQUET:
        from polyhead._cli import _parquet as parquet  # noqa: PLC0415 - an optional dependency

        return parquet.columns(path)
    if form not in _DELIMITERS:
        return None
    with Path(path).open("rb") as file:
        return _header(path, _tables.read(file, _DELIMITERS[form]))


def _header(path: str, rows: Iterator[_tables.Row]) -> list[str]:
    try:
        return _tables.header(rows)
    except _tables.HeaderError as error:
        raise UsageError(f"{path}: {error}") from None


def pick_column(path: str, columns: list[str], wanted: str | None) -> str:
    """Give the column with the documents.

    Raises:
        UsageError: There is no telling, or no such column.
    """
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    if doubled:
        raise UsageError(f"{path}: several columns are named {', '.join(map(repr, doubled))}")
    if wanted is None:
        if _tables.USUAL in columns:
            return _tables.USUAL
        if len(columns) == 1:
            return columns[0]
    elif wanted in columns:
        return wanted
    missing = "say with --column which to annotate" if wanted is None else f"no column {wanted!r}"
    raise UsageError(f"{path}: {missing}; there are: {', '.join(columns)}")


def _whole(path: str, file: Iterable[bytes]) -> Iterator[Item]:
    data = b"".join(file)
    try:
        text = _decode(data)
        yield Entry(path, path, text, len(data), {"id": path, "text": text})
    except _RowError as error:
        yield Unreadable(path, str(error), len(data), {"id": path})


def _text(path: str, file: Iterable[bytes]) -> Iterator[Item]:
    for place, size, line in _lines(path, file):
        if isinstance(line, _RowError):
            yield Unreadable(place, str(line), size, {"id": place})
        else:
            yield Entry(place, place, line, size, {"id": place, "text": line})


def _jsonl(path: str, file: Iterable[bytes], column: str | None) -> Iterator[Item]:
    for place, size, line in _lines(path, file):
        if isinstance(line, _RowError):
            yield Unreadable(place, str(line), size)
            continue
        try:
            value = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            yield Unreadable(place, f"not JSON: {error}", size)
            continue
        whole = isinstance(value, dict)
        fields = value if whole else {_tables.USUAL: value}
        written = line if whole else ""
        try:
            document = _parse(value, column)
        except _RowError as error:
            yield Unreadable(place, str(error), size, fields, written)
            continue
        given = fields.get("id")
        name = place if given is None else str(given)
        yield Entry(place, name, document, size, fields, written)


def _refuse(constant: str) -> None:
    """Python reads NaN and Infinity as numbers, which JSON does not have."""
    raise ValueError(f"{constant} is no value")


def _csv(path: str, file: Iterable[bytes], delimiter: str, wanted: str | None) -> Iterator[Item]:
    rows = _tables.read(file, delimiter)
    names = _header(path, rows)
    if not names:
        return
    column = pick_column(path, names, wanted)
    for row in rows:
        place = f"{path}:{row.line}"
        fields = dict(zip(names, row.cells, strict=False))
        reason = row.problem(len(names), fields.get(column, ""))
        if reason:
            yield Unreadable(place, reason, row.bytes, fields)
        else:
            yield Entry(place, place, fields[column], row.bytes, fields)


def _parquet(path: str, wanted: str | None) -> Iterator[Item]:
    from polyhead._cli import _parquet as parquet  # noqa: PLC0415 - an optional dependency

    column = pick_column(path, parquet.columns(path), wanted)
    for number, size, value in parquet.documents(path, column):
        place = f"{path}:{number}"
        match value:
            case str():
                yield Entry(place, place, value, size)
            case [*words] if words and all(isinstance(word, str) for word in words):
                yield Entry(place, place, Words(words), size)
            case None:
                yield Unreadable(place, "there is no text", size)
            case _:
                yield Unreadable(place, "holds no text", size)


def _lines(path: str, file: Iterable[bytes]) -> Iterator[tuple[str, int, str | _RowError]]:
    """Give lines that are not blank, each with its place and size."""
    for number, line in enumerate(file, start=1):
        try:
            text = _decode(line).rstrip("\r\n")
        except _RowError as error:
            yield f"{path}:{number}", len(line), error
            continue
        if text.strip():
            yield f"{path}:{number}", len(line), text


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _RowError(f"not UTF-8 at byte {error.start}") from None


def _parse(value: object, column: str | None) -> Document:
    if column is not None and isinstance(value, dict):
        if column not in value:
            raise _RowError(f"has no field {column!r}")
        value = value[column]
        if value is None:
            raise _RowError("there is no text")
        if isinstance(value, list):
            value = {"words": value}
    match value:
        case str():
            return value
        case {"text": str(content)} if column is None:
            return content
        case {"words": [*words]} if all(isinstance(word, str) for word in words):
            return Words(words)
        case _ if column is not None:
            raise _RowError(f"field {column!r} holds neither text nor a list of words")
        case _:
            raise _RowError('expected a string, or an object with "text" or "words"')
