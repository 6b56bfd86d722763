"""A progress bar that comes only when it is of use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich import progress

from polyhead._cli._terminal import make_console

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console


class Progress:
    """Shows documents, rate and time on stderr from the second document on.

    Hidden where stderr is no terminal. Where stdout is the same terminal it is drawn through the
    console that prints the results, so that they scroll above it.

    Args:
        total: Bytes to come; None: not known.
        console: The console that prints the results.
    """

    def __init__(self, total: int | None, console: Console) -> None:
        shared = console if console.is_terminal else make_console(stderr=True)
        self._bar = progress.Progress(
            progress.TextColumn("annotating"),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[documents]} texts"),
            progress.TextColumn("{task.fields[rate]:.0f}/s"),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=shared,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=total, documents=0, rate=0.0)
        self._visible = sys.stderr.isatty()
        self._documents = 0
        self._shown = False

    def advance(self, size: int) -> None:
        """Note that a document of so many bytes is done; texts of the command line have none."""
        if not self._visible or not size:
            return
        self._documents += 1
        if self._documents > 1 and not self._shown:
            self._bar.start()
            self._shown = True
        elapsed = self._bar.tasks[0].elapsed or 0.0
        rate = self._documents / elapsed if elapsed else 0.0
        self._bar.update(self._task, advance=size, documents=self._documents, rate=rate)

    def skip(self, size: int) -> None:
        """Note that so many bytes were done before."""
        self._bar.update(self._task, advance=size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._shown:
            self._bar.stop()
