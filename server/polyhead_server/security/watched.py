"""Files that may be replaced while the server runs: certificates, tokens, keys."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

from polyhead_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")
Marks = tuple[tuple[int, int, int] | None, ...]

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 1.0
"""Time between two looks at the files."""
_READINGS = 5
"""Attempts to read files that somebody is writing."""


class Watched(Generic[T]):
    """What some files hold. They are looked at when it is asked for, once a second at most.

    What cannot be read or used leaves what was there before in force, and a line in the log.
    Thread-safe.

    Args:
        files: the files; links are followed.
        read: reads and checks them; raises StartError where that fails.
        pause: seconds between two looks at the files.

    Raises:
        StartError: they cannot be used now, at the start.
    """

    def __init__(
        self, files: Sequence[Path], read: Callable[[], T], *, pause: float = _PAUSE_SECONDS
    ) -> None:
        self._files = tuple(files)
        self._read = read
        self._pause = pause
        self._lock = threading.Lock()
        self._marks = self._look()
        self._value = self._read_whole()
        self._next = time.monotonic() + pause
        self._refused = ""

    def get(self) -> T:
        """What they hold; the same object as long as they do not change."""
        with self._lock:
            now = time.monotonic()
            if now >= self._next:
                self._next = now + self._pause
                self._refresh()
            return self._value

    def _refresh(self) -> None:
        """Read what has changed, and what could not be read before: that may show in no mark."""
        marks = self._look()
        if marks == self._marks and not self._refused:
            return
        self._marks = marks
        names = [str(file) for file in self._files]
        try:
            self._value = self._read_whole()
        except StartError as error:
            if str(error) != self._refused:
                _log.warning("file_refused", files=names, reason=str(error), kept="what was there")
            self._refused = str(error)
            return
        self._refused = ""
        _log.info("file_read_again", files=names)

    def _read_whole(self) -> T:
        """Read until nothing changed meanwhile: several files are not replaced in one step.

        Raises:
            StartError: they cannot be used.
        """
        for _ in range(_READINGS):
            problem = None
            try:
                value = self._read()
            except StartError as error:
                problem = error
            marks = self._look()
            if marks == self._marks:
                break
            self._marks = marks
        if problem is not None:
            raise problem
        return value

    def _look(self) -> Marks:
        return tuple(map(_mark, self._files))


def read_bytes(file: Path) -> bytes:
    """A file's content.

    Raises:
        StartError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {file}: {error.strerror}") from None


def _mark(file: Path) -> tuple[int, int, int] | None:
    """What differs once a file was written or replaced; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
