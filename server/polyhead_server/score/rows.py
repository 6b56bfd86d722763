"""Reads a fragment in chunks of rows: what can be annotated, and what is wrong with the rest."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from polyhead_server.score.fragments import damage_of, open_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyhead_server.encoding import Source
    from polyhead_server.score.fragments import Fragment
    from polyhead_server.score.order import Fields

_CHUNK_ROWS = 256
_CHUNK_BYTES = 1 << 20
_LONGEST_LINE = 16 << 20
_SHOWN = 200
_MARK = b"\xef\xbb\xbf"


class RowError(Exception):
    """What is wrong with a row; becomes the reason of a `BadRow`."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row to annotate."""

    number: int
    """In its file, from 1."""
    source: Source
    raw: str = ""
    """The line as it is; empty for Parquet."""
    index: int = 0
    """For Parquet: its place in the chunk's table."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be annotated."""

    number: int
    reason: str
    raw: str | None = None
    """The line as it is."""
    rows: int = 1
    """How many rows from this one on share the reason."""


@dataclass(slots=True)
class Chunk:
    """Rows that are worked on together."""

    rows: list[Row] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    table: Any = None
    """For Parquet: the record batch that the rows are in."""


def read_chunks(fragment: Fragment, fields: Fields) -> Iterator[Chunk]:
    """Read a fragment.

    Raises:
        OSError: the file cannot be read, for another reason than damaged data.
    """
    if fragment.ending == ".parquet":
        return _parquet_chunks(fragment, fields)
    return _line_chunks(fragment, fields)


def _line_chunks(fragment: Fragment, fields: Fields) -> Iterator[Chunk]:
    with _lines_at(fragment) as stream:
        chunk, held = Chunk(), 0
        for number in range(fragment.first + 1, fragment.first + fragment.rows + 1):
            try:
                line = _line(stream)
            except (OSError, EOFError, zlib.error) as error:
                left = fragment.first + fragment.rows + 1 - number
                chunk.bad.append(_damaged(error, number, left))
                break
            held += len(line)
            _take(chunk, number, line, fields)
            if len(chunk.rows) + len(chunk.bad) >= _CHUNK_ROWS or held >= _CHUNK_BYTES:
                yield chunk
                chunk, held = Chunk(), 0
        yield chunk


def _lines_at(fragment: Fragment) -> IO[bytes]:
    stream = open_lines(Path(fragment.path))
    try:
        stream.seek(fragment.start)
    except BaseException:
        stream.close()
        raise
    return stream


def _line(stream: IO[bytes]) -> bytes:
    """The next line; of one that is too long a part, the rest passed over."""
    line = end = stream.readline(_LONGEST_LINE)
    while end and not end.endswith(b"\n"):
        end = stream.readline(_LONGEST_LINE)
        line = line if not end else line[:_LONGEST_LINE] + b"..."
    return line


def _take(chunk: Chunk, number: int, line: bytes, fields: Fields) -> None:
    line = line.removeprefix(_MARK) if number == 1 else line
    if not line.strip():
        return
    raw = line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
    try:
        values = _json_values(line, fields)
        chunk.rows.append(Row(number, _source(values[fields.read], fields), raw))
    except RowError as error:
        chunk.bad.append(BadRow(number, str(error), raw))


def _json_values(line: bytes, fields: Fields) -> dict[str, Any]:
    if len(line) > _LONGEST_LINE:
        raise RowError(f"the line has more than {_LONGEST_LINE >> 20} MiB")
    try:
        values = json.loads(line.decode(), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise RowError("not UTF-8") from None
    except (ValueError, RecursionError):
        raise RowError("not JSON") from None
    if not isinstance(values, dict):
        raise RowError("not a JSON object")
    if fields.column in values:
        raise RowError(f"has a field {fields.column!r} already")
    if fields.read not in values:
        raise RowError(f"has no field {fields.read!r}")
    return values


def _refuse(constant: str) -> None:
    """Python reads NaN and Infinity as numbers, which JSON does not have."""
    raise ValueError(constant)


def _parquet_chunks(fragment: Fragment, fields: Fields) -> Iterator[Chunk]:
    import pyarrow as pa  # noqa: PLC0415 - not needed for lines

    number = fragment.first + 1
    end = number + fragment.rows
    try:
        for table in _record_batches(fragment):
            yield _table_chunk(table, number, fields)
            number += table.num_rows
    except (pa.ArrowException, OSError) as error:
        yield Chunk(bad=[_damaged(error, number, end - number)])


def _record_batches(fragment: Fragment) -> Iterator[Any]:
    """The fragment's rows, from the row groups that have them."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    with pq.ParquetFile(fragment.path) as file:
        groups, skip = _groups(file.metadata, fragment)
        left = fragment.rows
        # Chunks begin at the fragment's own first row, wherever row groups begin.
        for batch in file.iter_batches(batch_size=_CHUNK_ROWS, row_groups=groups):
            own = batch.slice(skip, left)
            skip = max(0, skip - batch.num_rows)
            left -= own.num_rows
            if own.num_rows:
                yield own
            if not left:
                return


def _groups(metadata: Any, fragment: Fragment) -> tuple[list[int], int]:
    """Row groups that hold rows of the fragment, and rows of them that go before it."""
    groups: list[int] = []
    first = skip = 0
    for index in range(metadata.num_row_groups):
        end = first + metadata.row_group(index).num_rows
        if first < fragment.first + fragment.rows and end > fragment.first:
            skip = skip if groups else fragment.first - first
            groups.append(index)
        first = end
    return groups, skip


def _table_chunk(table: Any, number: int, fields: Fields) -> Chunk:
    chunk = Chunk(table=table)
    for index, value in enumerate(table.column(fields.read)):
        try:
            chunk.rows.append(Row(number + index, _source(_python(value), fields), index=index))
        except RowError as error:
            chunk.bad.append(BadRow(number + index, str(error)))
    return chunk


def _python(value: Any) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        raise RowError("not UTF-8") from None


def _source(value: Any, fields: Fields) -> Source:
    if fields.words:
        return _words(value, fields)
    if value is None:
        raise RowError(f"{fields.text!r} is null")
    if not isinstance(value, str):
        raise RowError(f"{fields.text!r} is not a text")
    _check(value, len(value), fields)
    return value


def _words(value: Any, fields: Fields) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise RowError(f"{fields.words!r} is not a list of words, at least one")
    for index, word in enumerate(value):
        if not isinstance(word, str) or not word.strip():
            raise RowError(f"item {index} of {fields.words!r} is not a word")
    _check("".join(value), sum(map(len, value)) + len(value) - 1, fields)
    return tuple(value)


def _check(text: str, size: int, fields: Fields) -> None:
    if size > fields.most_chars:
        raise RowError(f"has {size} code points, more than {fields.most_chars}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowError("holds half of a surrogate pair") from None


def _damaged(error: Exception, number: int, rows: int) -> BadRow:
    reason = damage_of(error)
    if reason is None:
        raise error
    return BadRow(number, f"damaged from here on: {reason[:_SHOWN]}", rows=rows)
