"""Progress of training on a terminal, or in lines where there is none."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_training.evaluation import Measure

_LINE_SECONDS = 30.0


class Reporter:
    """Watches a training run: a bar on a terminal, a line every half minute elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[rate]:,.0f} tokens/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=None, loss=0.0, rate=0.0)
        self._since = self._said = time.monotonic()
        self._tokens = 0
        self._first = -1

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self, done: int, total: int, loss: float, tokens: int) -> None:
        """Show one step."""
        now = time.monotonic()
        if self._first < 0:  # how long it took is not known
            self._first, self._since = done, now
        else:
            self._tokens += tokens
        rate = self._tokens / max(now - self._since, 1e-9)
        self._bar.update(self._task, completed=done, total=total, loss=loss, rate=rate)
        known = done > self._first and not self._console.is_terminal
        if known and now - self._said >= _LINE_SECONDS:
            self._said = now
            left = (now - self._since) / (done - self._first) * (total - done)
            self._console.print(
                f"step {done}/{total}  loss {loss:.3f}  {rate:,.0f} tokens/s  "
                f"{left / 60:.0f} min left"
            )

    def taught(self, source: str, done: int, total: int) -> None:
        """Show how far the teachers are."""
        now = time.monotonic()
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, total=total)
        if done == total or now - self._said >= _LINE_SECONDS:
            self._said = now
            self._console.print(f"teachers answered to {done:,} of {total:,} texts of {source}")

    def validated(
        self, step: int, measures: Sequence[Measure], score: float, *, best: bool
    ) -> None:
        """Show a validation."""
        figures = "  ".join(f"{m.source} {m.metric} {100 * m.value:.2f}" for m in measures)
        mark = "  (best so far)" if best else ""
        self._console.print(
            f"validation at step {step}: mean {100 * score:.2f}{mark}  {figures}",
            soft_wrap=not self._console.is_terminal,
        )
