"""The journal of an unfinished run: what became of each row, in the order of the rows.

A file of JSON lines, only ever appended to: first what was asked for, then a record per row. It
alone says how far a run has come. A line that was cut short by the end of the process, and whatever
is behind it, counts for nothing and is done again; so no row is lost, and none is there twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from typing import TYPE_CHECKING, Any

from polyhead._cli._inputs import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_VERSION = 1
_SECONDS = 1.0  # between syncs to the disk
_TASTE = 65536
_BEGINNING = b'{"polyhead": '


class Journal:
    """A journal that is written to, by one process at a time.

    Args:
        path: The file.

    Raises:
        UsageError: Another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a+b")
        self._synced = time.monotonic()
        self.rows = 0
        try:
            _lock(self._file.fileno())
        except OSError:
            self._file.close()
            raise UsageError(f"another process is writing {path}") from None

    def begin(self, request: Mapping[str, Any]) -> None:
        """Throw away what is there, and note what is asked for."""
        self._file.truncate(0)
        self._write({"polyhead": _VERSION, **request})
        self.sync()

    def resume(self, see: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
        """Find how far it has come, and cut off what does not count.

        Args:
            see: Is shown every record of an error.

        Returns:
            What was asked for, or None where not even that was written.

        Raises:
            UsageError: It is no journal.
        """
        self._file.seek(0)
        first = self._file.readline()
        if not first.endswith(b"\n") and _BEGINNING.startswith(first[: len(_BEGINNING)]):
            return None
        request = _line(first)
        if request is None or request.pop("polyhead", None) != _VERSION:
            raise UsageError(f"{self._path} is not the journal of an unfinished run")
        end = self._file.tell()
        while True:
            line = self._file.readline()
            if not line.startswith(b'{"row": %d, ' % (self.rows + 1)) or not line.endswith(b"}\n"):
                break
            if b'"error": ' in line:
                record = json.loads(line)
                if "error" in record:
                    see(record)
            end += len(line)
            self.rows += 1
        self._file.truncate(end)
        self._file.seek(end)
        return request

    def add(self, record: Mapping[str, Any]) -> None:
        """Note what became of the next row."""
        self.rows += 1
        self._write({"row": self.rows, **record})
        if time.monotonic() - self._synced >= _SECONDS:
            self.sync()

    def sync(self) -> None:
        """Put all that was noted on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def records(self) -> Iterator[dict[str, Any]]:
        """Give the records from the first on."""
        self.sync()
        with self._path.open("rb") as file:
            file.readline()
            for line in file:
                yield json.loads(line)

    def close(self) -> None:
        """Put everything on the disk and let others write."""
        with contextlib.suppress(OSError, ValueError):
            self.sync()
        self._file.close()

    def _write(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(record).encode() + b"\n")


def fingerprint(path: Path, *, dated: bool) -> list[int]:
    """Give a file's size, when it was written, and a checksum of its beginning and end.

    Args:
        path: The file.
        dated: Whether it matters when it was written; else that is 0.
    """
    status = path.stat()
    size, written = status.st_size, status.st_mtime_ns if dated else 0
    with path.open("rb") as file:
        first = file.read(_TASTE)
        file.seek(max(0, size - _TASTE))
        return [size, written, zlib.crc32(file.read(_TASTE), zlib.crc32(first))]


def _line(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _lock(number: int) -> None:
    """Keep other processes off; raises OSError where one is there already."""
    try:
        import fcntl  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
