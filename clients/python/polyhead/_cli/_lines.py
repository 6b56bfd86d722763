"""Lines of standard input, as they come."""

from __future__ import annotations

import io
import os
import select
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, Self

_CHUNK = 64 * 1024


class Lines(Iterator[bytes]):
    """Gives lines with their ends, and says whether one is there without waiting.

    Args:
        file: The input. It is read past its own buffer, which must be empty.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lines: deque[bytes] = deque()
        self._rest: list[bytes] = []  # of a line whose end has not come
        self._ended = False
        try:
            self._number: int | None = file.fileno()
        except io.UnsupportedOperation:
            self._number = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        while not self._lines:
            if self._ended:
                raise StopIteration
            self._take(self._file.read(_CHUNK) if self._number is None else self._read())
        return self._lines.popleft()

    def ready(self) -> bool:
        """Whether a line, or the end, is there; a part of a line counts as one."""
        if self._lines or self._ended or self._number is None or os.name != "posix":
            return True
        return bool(select.select([self._number], [], [], 0)[0])

    def _read(self) -> bytes:
        return os.read(self._number or 0, _CHUNK)

    def _take(self, chunk: bytes) -> None:
        if not chunk:
            self._ended = True
            self._finish_line(b"")
            return
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._finish_line(line + b"\n")
        if rest:
            self._rest.append(rest)

    def _finish_line(self, end: bytes) -> None:
        line = b"".join([*self._rest, end])
        self._rest.clear()
        if line:
            self._lines.append(line)
