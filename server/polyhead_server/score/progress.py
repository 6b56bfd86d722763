"""How a run of offline scoring goes: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyhead_server.score.journal import Done

_SECONDS_BETWEEN_LINES = 10.0


class Going:
    """Counts what is finished, and shows it on standard error.

    Args:
        fragments: how many there are in all.
        rows: rows of all of them.
        finished: those of earlier runs.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        fragments: int,
        rows: int,
        finished: int,
        rows_finished: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._of = fragments
        self._left = rows - rows_finished
        self.finished = finished
        self._clock = clock
        self._start: float | None = None
        self._told = float("-inf")
        self._rows = self._tokens = self._errors = 0
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._bar = Progress(
            BarColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=fragments, completed=finished)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def take(self, done: Done, rows: int) -> None:
        """Count a fragment of so many rows."""
        if self._start is None:  # what it took to start would spoil the rate
            self._start = self._clock() - done.seconds
        self.finished += 1
        self._left -= rows
        self._rows += done.scored + done.errors
        self._tokens += done.tokens
        self._errors += done.errors
        self._bar.update(self._task, completed=self.finished, description=self.text())
        now = self._clock()
        if not self._console.is_terminal and now - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = now
            self._console.print(self.text())

    def text(self) -> str:
        """Where the run is."""
        seconds = max(self._clock() - (self._start or 0.0), 1e-9)
        rate = self._rows / seconds
        bad = f", {self._errors:,} bad rows" if self._errors else ""
        left = f", {_time(self._left / rate)} left" if self._left > 0 and rate else ""
        return (
            f"{self.finished:,} of {self._of:,} fragments, {self._rows:,} rows{bad}, "
            f"{rate:,.0f} rows/s, {self._tokens / seconds:,.0f} tokens/s{left}"
        )


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
