"""Parquet, by pyarrow: documents in, annotated tables out."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from polyhead._cli._columns import Column

_ROWS = 1024
_TYPES = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "spans": pa.list_(
        pa.struct(
            [
                ("text", pa.string()),
                ("start", pa.int64()),
                ("end", pa.int64()),
                ("label", pa.string()),
                ("score", pa.float64()),
            ]
        )
    ),
    "tagging": pa.list_(
        pa.struct(
            [
                ("text", pa.string()),
                ("start", pa.int64()),
                ("end", pa.int64()),
                ("tag", pa.string()),
                ("score", pa.float64()),
            ]
        )
    ),
}


def columns(path: str) -> list[str]:
    """Give the names of a file's columns; raises OSError for what is no Parquet."""
    return list(_open(path).schema_arrow.names)


def same_columns(paths: Sequence[str]) -> bool:
    """Whether all files have columns of the same names and types."""
    schemas = [_open(path).schema_arrow for path in paths]
    return all(schema.equals(schemas[0]) for schema in schemas)


def documents(path: str, column: str) -> Iterator[tuple[int, int, Any]]:
    """Give row numbers from 1, sizes and values of one column; bytes for what is not UTF-8."""
    file = _open(path)
    rows = max(1, file.metadata.num_rows)
    each, rest = divmod(Path(path).stat().st_size, rows)
    batches = file.iter_batches(batch_size=_ROWS, columns=[column])
    values = chain.from_iterable(batch.column(0) for batch in batches)
    for number, value in enumerate(values, start=1):
        yield number, each + (number <= rest), _value(value)


def rows(paths: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Give every row of files as Python values."""
    for path in paths:
        for batch in _open(path).iter_batches(batch_size=_ROWS):
            yield from batch.to_pylist()


def write_beside(
    output: Path,
    paths: Sequence[str],
    added: Sequence[Column],
    cells: Iterator[Mapping[str, Any]],
) -> None:
    """Write the rows of files with columns added; theirs keep their types.

    Args:
        output: The file to write.
        paths: The files.
        added: The columns to add.
        cells: For each row its added cells.
    """
    schema = _open(paths[0]).schema_arrow
    for column in added:
        schema = schema.append(pa.field(column.name, _TYPES[column.type]))
    with pq.ParquetWriter(output, schema) as writer:
        for path in paths:
            for batch in _open(path).iter_batches(batch_size=_ROWS):
                part = list(islice(cells, batch.num_rows))
                more = [_array([row.get(c.name) for row in part], c.type) for c in added]
                writer.write_batch(pa.record_batch([*batch.columns, *more], schema=schema))


def write(output: Path, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows by column names."""
    schema = pa.schema([(column.name, _TYPES[column.type]) for column in columns])
    rest = iter(rows)
    with pq.ParquetWriter(output, schema) as writer:
        while part := list(islice(rest, _ROWS)):
            arrays = [_array([row.get(c.name) for row in part], c.type) for c in columns]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _array(values: list[Any], type_name: str) -> Any:
    return pa.array(values, type=_TYPES[type_name])


def _open(path: str) -> Any:
    try:
        return pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise OSError(f"not Parquet: {str(error).splitlines()[0]}") from None


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return b""
