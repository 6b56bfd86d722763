"""Cuts the input into fragments: runs of rows of one file that are scored, kept and redone whole.

A fragment depends on the file alone, never on who scores it, and batches never cross fragments; so
results are the same however many processes there are.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal, cast

import numpy as np

from polyhead_server.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from polyhead_server.score.order import Fields

Ending = Literal[".jsonl", ".jsonl.gz", ".parquet"]

_ENDINGS: dict[str, Ending] = {
    ".jsonl": ".jsonl",
    ".ndjson": ".jsonl",
    ".jsonl.gz": ".jsonl.gz",
    ".ndjson.gz": ".jsonl.gz",
    ".parquet": ".parquet",
}
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class InputFile:
    """One file of the input, as it was when it was cut up."""

    path: str
    ending: Ending
    size: int
    changed: int
    """Time of its last change, ns."""
    rows: int
    damage: str = ""
    """Why what is behind its rows cannot be read; empty where all can."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A run of rows of one file."""

    file: int
    """Index of the file."""
    path: str
    ending: Ending
    number: int
    """Index in the file."""
    first: int
    """Its first row, from 0."""
    rows: int
    start: int = 0
    """Byte, of the unpacked file, where its lines begin."""

    @property
    def name(self) -> str:
        """Names of outputs sort as rows do."""
        return f"part-{self.file:05d}-{self.number:06d}"


@dataclass(frozen=True, slots=True)
class _Cut:
    row: int
    byte: int


def find_files(inputs: Sequence[Path], output: Path) -> list[Path]:
    """The files given, and those below the folders given, in a fixed order.

    Args:
        inputs: files and folders.
        output: folder whose files are passed over.

    Raises:
        SettingsError: something is not there, is of no known kind, or nothing is left.
    """
    problems: list[str] = []
    found: dict[Path, None] = {}
    for item in inputs:
        if item.is_dir():
            inside = (path for path in sorted(item.rglob("*")) if path.is_file())
            found |= dict.fromkeys(p.resolve() for p in inside if _ending(p) and _visible(p, item))
        elif not item.is_file():
            problems.append(f"--input: {item} is not there")
        elif not _ending(item):
            problems.append(f"--input: {item} ends in none of {', '.join(_ENDINGS)}")
        else:
            found[item.resolve()] = None
    for path in [path for path in found if output in path.parents]:
        del found[path]
    if not problems and not found:
        problems.append(f"--input: no file there ends in one of {', '.join(_ENDINGS)}")
    if problems:
        raise SettingsError(problems)
    return list(found)


def measure(path: Path) -> tuple[int, int]:
    """Size and time of the last change, by which a file is known again."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def cut_up(index: int, path: Path, rows: int, fields: Fields) -> tuple[InputFile, list[Fragment]]:
    """Cut a file into fragments of so many rows. JSON lines are read once for it, to be counted.

    Raises:
        SettingsError: a Parquet file has no such column, or has one of the results' name.
        OSError: it cannot be read.
    """
    size, changed = measure(path)
    ending = _ending(path)
    assert ending is not None  # noqa: S101 - found by it
    if ending == ".parquet":
        total, damage = _parquet_rows(path, fields)
        cuts = [_Cut(row, 0) for row in range(0, total, rows)]
    else:
        with open_lines(path) as stream:
            cuts, total, damage = _line_cuts(stream, rows)
    ends = [*(cut.row for cut in cuts[1:]), total][: len(cuts)]
    return InputFile(str(path), ending, size, changed, total, damage), [
        Fragment(index, str(path), ending, number, cut.row, end - cut.row, cut.byte)
        for number, (cut, end) in enumerate(zip(cuts, ends, strict=True))
        if end > cut.row
    ]


def open_lines(path: Path) -> IO[bytes]:
    """Open a file of lines, unpacked."""
    if path.name.lower().endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def damage_of(error: Exception) -> str | None:
    """What data are damaged by, or None where reading them failed for another reason."""
    if isinstance(error, EOFError | zlib.error):
        return "the gzip data are cut off or damaged"
    if isinstance(error, OSError) and error.errno is not None:
        return None
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _ending(path: Path) -> Ending | None:
    return next((kind for end, kind in _ENDINGS.items() if path.name.lower().endswith(end)), None)


def _visible(path: Path, root: Path) -> bool:
    """Names that begin so are by custom no data: journals, unfinished files."""
    return not any(part.startswith(("_", ".")) for part in path.relative_to(root).parts)


def _line_cuts(stream: IO[bytes], rows: int) -> tuple[list[_Cut], int, str]:
    """Where each fragment begins, the number of lines, and what is wrong behind them."""
    cuts, count, begun, damage = [_Cut(0, 0)], 0, False, ""
    blocks = _Blocks(stream)
    for at, block in blocks:
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        wanted = range(cuts[-1].row + rows, count + len(ends) + 1, rows)
        cuts += [_Cut(row, at + int(ends[row - count - 1]) + 1) for row in wanted]
        count += len(ends)
        begun = not block.endswith(b"\n")
    damage = blocks.damage
    return cuts, count + (begun and not damage), damage


class _Blocks:
    """The blocks of a stream with their places, up to its end or to where it is damaged."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.damage = ""

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        at = 0
        try:
            while block := self._stream.read1(_BLOCK):  # type: ignore[attr-defined]
                yield at, block
                at += len(block)
        except (OSError, EOFError, zlib.error) as error:
            damage = damage_of(error)
            if damage is None:
                raise
            self.damage = damage


def _parquet_rows(path: Path, fields: Fields) -> tuple[int, str]:
    import pyarrow as pa  # noqa: PLC0415 - not needed for lines
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path) as file:
            rows, schema = int(file.metadata.num_rows), file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        damage = damage_of(error)
        if damage is None:
            raise
        return 0, f"not a Parquet file: {damage}"
    if problem := _column_problem(schema, fields):
        raise SettingsError([f"--input: {path} {problem}"])
    return rows, ""


def _column_problem(schema: object, fields: Fields) -> str:
    from pyarrow import types  # noqa: PLC0415

    names = schema.names  # type: ignore[attr-defined]
    if names.count(fields.read) != 1:
        flag = "--words" if fields.words else "--text"
        return f"has no column {fields.read!r}: give {flag}; there are {', '.join(names)}"
    if fields.column in names:
        return f"has a column {fields.column!r} already: give another --column"
    kind = schema.field(fields.read).type  # type: ignore[attr-defined]
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if fields.words:
        if not (types.is_list(kind) or types.is_large_list(kind)):
            return f"has {kind} in the column {fields.read!r}, not lists of words"
        kind = kind.value_type
    if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        return f"has {kind} in the column {fields.read!r}, not text"
    return ""
