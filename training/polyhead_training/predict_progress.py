"""How an annotation goes: a bar on a terminal, and the records that were left out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from polyhead_training.errors import TrainingError
from polyhead_training.predict_inputs import Heading
from polyhead_training.problems import SHOWN_PER_FILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from polyhead_training.predict_inputs import Refused


class Refusals:
    """Records that were left out: told, counted, and written to a file of their own.

    Args:
        name: the input, as messages show it.
        path: the file of their own; None for none.
        say: shows a message.
    """

    def __init__(self, name: str, path: Path | None, say: Callable[[str], None]) -> None:
        self._name = name
        self._say = say
        self._file = path.open("wb") if path else None
        self._path = path
        self._heading = b""
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def take(self, record: Refused | Heading) -> None:
        """Note a record, or the heading that goes before the records."""
        if isinstance(record, Heading):
            self._heading = record.raw
            return
        self._count += 1
        if self._count <= SHOWN_PER_FILE:
            self._say(f"{self._name}:{record.line}: {record.message}")
        if self._file:
            self._file.write(self._heading + record.raw)
            self._heading = b""

    def tell_rest(self) -> None:
        """Say how many there were beyond those that were told."""
        if hidden := max(0, self._count - SHOWN_PER_FILE):
            self._say(f"{self._name}: ... and {hidden:,} more")

    def conclude(self, done: int, *, allowed: bool) -> None:
        """Raise `TrainingError` if records were left out, unless that is allowed."""
        if not self._count or allowed:
            return
        kept = f"; they are in {self._path}" if self._path else ""
        raise TrainingError(
            f"{self._count:,} of {self._count + done:,} texts could not be read and were left out"
            f"{kept} (--skip-errors makes this no error)"
        )


class Bar:
    """Progress on a terminal, by bytes of the input where its size is known.

    Args:
        path: the input; None for standard input.
    """

    def __init__(self, path: Path | None) -> None:
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        plain = path is not None and path.suffix != ".gz" and path.is_file()
        self._total = path.stat().st_size if plain and path is not None else None
        self._bar = Progress(
            TextColumn("annotating"),
            BarColumn(),
            TextColumn("{task.fields[done]:,} texts  {task.fields[rate]:,.0f}/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("annotating", total=self._total, done=0, rate=0.0)
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._start

    def show(self, done: int, read: int) -> None:
        """Show how many texts are done and bytes read."""
        rate = done / max(self.seconds, 1e-9)
        self._bar.update(self._task, completed=read, done=done, rate=rate)

    def say(self, message: str) -> None:
        """Print a line beside the bar."""
        self._console.print(message)
