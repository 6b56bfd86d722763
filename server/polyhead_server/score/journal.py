"""The output folder: what is finished in it, and how a fragment comes to be so.

A fragment's part and errors are written under names of their own, and renamed; its entry in the
journal comes last, in one rename, and alone says that it is finished. Whoever dies before leaves
nothing but files in one folder, which is emptied when a run begins and ends. Two processes that
score the same fragment, since one was taken for dead, put the same content in the same place.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import uuid
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING

from polyhead_server.score.errors import ScoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from polyhead_server.score.fragments import Fragment

PLAN = "_plan.json"
MANIFEST = "_manifest.json"
ERRORS = "_errors.jsonl"

_JOURNAL = "_journal"
_UNFINISHED = "_unfinished"
_LOCK = "_lock"


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a fragment."""

    name: str
    scored: int
    """Rows in its part."""
    errors: int
    """Rows in the journal's errors; lines of white space are in neither."""
    tokens: int
    seconds: float
    bytes: int
    """Size of its part."""
    node: str = ""
    """Who scored it: its node in a cluster."""


class Journal:
    """The output folder of one run. Any number of processes may use it.

    Args:
        output: the folder.
    """

    def __init__(self, output: Path) -> None:
        self._output = output

    def prepare(self) -> None:
        """Make the folders, and drop what earlier runs left unfinished."""
        self.sweep()
        for name in (_JOURNAL, _UNFINISHED):
            (self._output / name).mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Drop what is unfinished. Nobody may be at work."""
        shutil.rmtree(self._output / _UNFINISHED, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder against a second run.

        Raises:
            ScoreError: there is one.
        """
        self._output.mkdir(parents=True, exist_ok=True)
        with (self._output / _LOCK).open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ScoreError(f"{self._output}: another run is writing there") from None
            yield

    def finished(self, fragment: Fragment) -> Done | None:
        """What became of a fragment; None where it is yet to be scored."""
        try:
            done = Done(**json.loads(self._entry(fragment).read_bytes()))
            whole = self.part(fragment).stat().st_size == done.bytes
        except (OSError, ValueError, TypeError):
            return None
        return done if whole and (not done.errors or self.errors(fragment).exists()) else None

    def part(self, fragment: Fragment) -> Path:
        """Where a fragment's rows are, once it is finished."""
        return self._output / (fragment.name + fragment.ending)

    def errors(self, fragment: Fragment) -> Path:
        """Where a fragment's bad rows are, if it has any."""
        return self._output / _JOURNAL / f"{fragment.name}.errors.jsonl"

    @contextmanager
    def places(self, fragment: Fragment) -> Iterator[tuple[Path, Path]]:
        """Names to write a fragment's part and errors under; gone at the end, if not committed."""
        own = f"{fragment.name}-{uuid.uuid4().hex}"
        part, errors = (self._output / _UNFINISHED / f"{own}{e}" for e in (".part", ".errors"))
        try:
            yield part, errors
        finally:
            part.unlink(missing_ok=True)
            errors.unlink(missing_ok=True)

    def commit(self, fragment: Fragment, part: Path, errors: Path, done: Done) -> None:
        """Make a fragment finished: part and errors go to their places, the entry last."""
        for path in (part, errors):
            _sync(path)
        part.replace(self.part(fragment))
        errors.replace(self.errors(fragment)) if done.errors else errors.unlink()
        _sync(self._output)
        write_whole(self._entry(fragment), json.dumps(asdict(done)).encode())

    def write_errors(self, fragments: Iterable[Fragment], more: Iterable[bytes]) -> None:
        """Gather the errors of all fragments, and lines beside them, in one file."""
        fresh = self._output / (ERRORS + f".{os.getpid()}")
        with fresh.open("wb") as target:
            for fragment in fragments:
                with contextlib.suppress(FileNotFoundError), self.errors(fragment).open("rb") as f:
                    shutil.copyfileobj(f, target)
            target.writelines(more)
            _flush(target)
        fresh.replace(self._output / ERRORS)

    def _entry(self, fragment: Fragment) -> Path:
        return self._output / _JOURNAL / f"{fragment.name}.json"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole, on disk, or not at all."""
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with fresh.open("wb") as file:
            file.write(content)
            _flush(file)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    _sync(path.parent)


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
