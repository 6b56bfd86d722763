"""Writes the part of a fragment: its good rows with the results beside what they had."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from polyhead_server.bundle import HeadSpec
    from polyhead_server.score.fragments import Fragment
    from polyhead_server.score.rows import BadRow, Chunk, Row


PartWriter = Callable[["Chunk", Sequence["Row"], Sequence[dict[str, Any]]], None]
"""Writes some rows of a chunk with their results, in order."""


@contextmanager
def part_writer(
    fragment: Fragment, place: Path, column: str, specs: Sequence[HeadSpec]
) -> Iterator[PartWriter]:
    """Open a file for a fragment's rows, in the format of its input.

    Args:
        fragment: the fragment.
        place: the file.
        column: name of the results' column.
        specs: the heads that are run.
    """
    if fragment.ending == ".parquet":
        with _parquet_writer(fragment, place, column, specs) as write:
            yield write
    else:
        with place.open("wb") as file, _packer(file, fragment) as stream:

            def write_lines(
                _: Chunk, rows: Sequence[Row], results: Sequence[dict[str, Any]]
            ) -> None:
                for row, result in zip(rows, results, strict=True):
                    stream.write(with_field(row.raw, column, result))

            yield write_lines


def error_line(path: str, row: BadRow) -> bytes:
    """A bad row as the file of errors has it."""
    more = {} if row.rows == 1 else {"rows": row.rows}
    raw = {} if row.raw is None else {"line": row.raw}
    return json_line({"file": path, "row": row.number, **more, "reason": row.reason, **raw})


def with_field(line: str, name: str, value: Any) -> bytes:
    """A line that holds an object, with a field more; what is there stays as it was written."""
    inner = line.rstrip().removesuffix("}")
    return f"{inner}, ".encode() + json_line({name: value})[1:]


def json_line(value: dict[str, Any]) -> bytes:
    """A value as a line; half a surrogate pair, in a field that is passed through, is spelt out."""
    try:
        return (json.dumps(value, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(value) + "\n").encode()


@contextmanager
def _packer(file: IO[bytes], fragment: Fragment) -> Iterator[IO[bytes]]:
    if not fragment.ending.endswith(".gz"):
        yield file
        return
    # Without name and time, so that the same rows make the same file.
    with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
        yield cast("IO[bytes]", packed)


@contextmanager
def _parquet_writer(
    fragment: Fragment, place: Path, column: str, specs: Sequence[HeadSpec]
) -> Iterator[PartWriter]:
    import pyarrow as pa  # noqa: PLC0415 - not needed for lines
    import pyarrow.parquet as pq  # noqa: PLC0415

    from polyhead_server.score.results import arrow_type  # noqa: PLC0415

    kind = arrow_type(specs)
    with pq.ParquetFile(fragment.path) as file:
        schema = file.schema_arrow.append(pa.field(column, kind))
    with pq.ParquetWriter(place, schema) as writer:

        def write_table(chunk: Chunk, rows: Sequence[Row], results: Sequence[Any]) -> None:
            own = chunk.table.take(pa.array([row.index for row in rows], pa.int64()))
            found = pa.array(results, kind)
            writer.write_batch(pa.record_batch([*own.columns, found], schema=schema))

        yield write_table
