"""From a finished journal and the inputs to the output file."""

from __future__ import annotations

import csv
import json
import os
from typing import TYPE_CHECKING, Any

from polyhead import InvalidArgumentError, Outcome, PolyheadError
from polyhead._cli import _columns
from polyhead._cli._inputs import (
    CSV,
    JSONL,
    PARQUET,
    TSV,
    Entries,
    Item,
    Unreadable,
    UsageError,
)
from polyhead._cli._terminal import complain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from polyhead._cli._columns import Column

_FORMATS = {".jsonl": JSONL, ".ndjson": JSONL, ".csv": CSV, ".tsv": TSV, ".parquet": PARQUET}
_HINT = "Parquet needs the package pyarrow, which comes with polyhead[parquet]: pip install pyarrow"


def output_format(path: Path) -> str:
    """Give the format of an output by the end of its name; raises UsageError."""
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise UsageError(f"--output: the name must end in one of {', '.join(_FORMATS)}")
    return found


def need_parquet() -> None:
    """Raise UsageError where Parquet cannot be read and written."""
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415 - an optional dependency
    except ImportError:
        raise UsageError(_HINT) from None


class Output:
    """The output of a run over files of one format.

    Args:
        path: The file to write.
        inputs: The files that were annotated.
        form: Their format.
        entries: Their rows.
        tasks: Names and kinds of the tasks.
        prefix: Stands before the name of what is added.
    """

    def __init__(
        self,
        path: Path,
        inputs: Sequence[str],
        form: str,
        entries: Entries,
        tasks: Sequence[tuple[str, str]],
        prefix: str,
    ) -> None:
        self._path = path
        self._inputs = list(inputs)
        self._form = form
        self._entries = entries
        self._prefix = prefix
        self._added = _columns.added(tasks, prefix)

    def check(self, columns: Iterable[str]) -> None:
        """Refuse to add a column that is there already; raises UsageError."""
        kind = output_format(self._path)
        names = _json_names(self._prefix) if kind == JSONL else {c.name for c in self._added}
        doubled = [name for name in columns if name in names]
        if doubled:
            listed = ", ".join(map(repr, doubled))
            raise UsageError(f"the input has {listed} already; name what is added with --prefix")

    def write(self, records: Iterator[dict[str, Any]]) -> None:
        """Write the whole output; it appears at once, or not at all.

        Raises:
            UsageError: The inputs have a name that is to be added.
        """
        beside = self._path.with_name(f"{self._path.name}.writing")
        try:
            self._write(beside, records)
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            beside.replace(self._path)
        finally:
            beside.unlink(missing_ok=True)

    def _write(self, path: Path, records: Iterator[dict[str, Any]]) -> None:
        kind = output_format(self._path)
        if kind == JSONL:
            self._write_jsonl(path, records)
            return
        cells = (_columns.cells(record, self._prefix) for record in records)
        if kind == self._form == PARQUET:
            from polyhead._cli import _parquet as parquet  # noqa: PLC0415 - optional

            parquet.write_beside(path, self._inputs, self._added, cells)
            return
        columns = self._scan()
        self.check(column.name for column in columns)
        rows = (
            _columns.fit(fields, columns) | added
            for fields, added in zip(self._fields(), cells, strict=True)
        )
        if kind == PARQUET:
            from polyhead._cli import _parquet as parquet  # noqa: PLC0415 - optional

            parquet.write(path, [*columns, *self._added], rows)
        else:
            _write_csv(path, [*columns, *self._added], rows, "\t" if kind == TSV else ",")

    def _scan(self) -> list[Column]:
        scan = _columns.Scan()
        for fields in self._fields():
            scan.see(fields)
        return scan.columns()

    def _write_jsonl(self, path: Path, records: Iterator[dict[str, Any]]) -> None:
        names = _json_names(self._prefix)
        with path.open("wb") as file:
            for (fields, line), record in zip(self._rows(), records, strict=True):
                if not names.isdisjoint(fields):
                    self.check(fields)
                added = record.get("annotation") or {"error": record["error"]}
                named = {self._prefix + name: value for name, value in added.items()}
                file.write(_with_fields(line, named) if line else _json_line(fields | named))

    def _fields(self) -> Iterator[dict[str, Any]]:
        return (fields for fields, _ in self._rows())

    def _rows(self) -> Iterator[tuple[dict[str, Any], str]]:
        """Read the inputs again: fields, and the line in JSON that they come from, if they do."""
        if self._form == PARQUET:
            from polyhead._cli import _parquet as parquet  # noqa: PLC0415 - optional

            for row in parquet.rows(self._inputs):
                yield _columns.plain(row), ""
            return
        for item in self._entries:
            yield item.fields, item.line


class ErrorFile:
    """Errors by row, as they come: to a file of JSON lines, or to stderr.

    Args:
        path: The file; None: stderr.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("w", encoding="utf-8") if path is not None else None
        self.count = 0

    def add(self, row: int, place: str, status: str, message: str) -> None:
        """Note an error."""
        self.count += 1
        if self._file is None:
            complain(f"{place}: {message}" if place else message)
            return
        record = {"row": row, "place": place, "status": status, "message": message}
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()

    def recall(self, record: Mapping[str, Any]) -> None:
        """Note an error of a run that is gone on with; stderr has had it."""
        if self._file is None:
            self.count += 1
            return
        error = record["error"]
        self.add(record["row"], record["place"], error["status"], error["message"])

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def failure_of(item: Item, outcome: Outcome) -> tuple[str, str]:
    """Give the status and the message of what failed."""
    if isinstance(item, Unreadable):
        return "INVALID_ARGUMENT", item.reason
    if outcome.error is None:
        raise TypeError("an outcome holds an annotation or an error")
    return outcome.error.code, _reason(outcome.error)


def _reason(error: PolyheadError) -> str:
    """Give the violations without their paths, which point into a request nobody sees."""
    if isinstance(error, InvalidArgumentError) and error.violations:
        return "; ".join(violation.description for violation in error.violations)
    return error.message


def _json_names(prefix: str) -> set[str]:
    names = ("results", "windows", "tokens", _columns.BUNDLE, "offset_unit", _columns.ERROR)
    return {prefix + name for name in names}


def _with_fields(line: str, added: Mapping[str, Any]) -> bytes:
    """Give a line that holds an object with more fields; what is there stays as it was written."""
    inner = line.rstrip().removesuffix("}").rstrip()
    between = "" if inner.endswith("{") else ", "
    return f"{inner}{between}".encode() + _json_line(added)[1:]


def _json_line(row: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell
        return json.dumps(row).encode() + b"\n"


def _write_csv(
    path: Path, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]], delimiter: str
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow([_columns.encodable(column.name) for column in columns])
        for row in rows:
            writer.writerow([_cell(row.get(column.name), column.type) for column in columns])


def _cell(value: Any, type_name: str) -> str:
    if type_name == "tagging" and value is not None:
        value = [[word["text"], word["tag"]] for word in value]
    return _columns.as_text(value)
