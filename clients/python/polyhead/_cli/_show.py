"""The commands `tasks` and `health`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from polyhead import Bundle, Figure, Health
from polyhead._cli._terminal import Palette, visible

if TYPE_CHECKING:
    from rich.console import Console

_MOST_LABELS = 24


def tasks(bundle: Bundle, console: Console, *, as_json: bool) -> None:
    """Print the tasks of a bundle."""
    if as_json:
        sys.stdout.write(json.dumps(bundle.to_dict()) + "\n")
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("task", "kind", "labels", "figures"):
        table.add_column(heading, overflow="fold")
    palette = Palette()
    for task in bundle.tasks:
        name = Text(visible(task.name), style=f"bold {palette.colour('', task.name)}")
        labels = " ".join(task.labels[:_MOST_LABELS])
        if len(task.labels) > _MOST_LABELS:
            labels += f" and {len(task.labels) - _MOST_LABELS} more"
        figures = "\n".join(map(_figure, task.figures)) or "-"
        table.add_row(name, str(task.kind), Text(visible(labels)), Text(visible(figures)))
    limits = bundle.limits
    console.print(Text(visible(f"bundle {bundle.name} {bundle.version}"), style="bold"))
    console.print(table)
    console.print(
        Text(
            f"a request takes at most {limits.max_documents:,} documents, "
            f"{limits.max_text_chars:,} characters in one, {limits.max_request_chars:,} in all",
            style="dim",
        )
    )


def health(state: Health, address: str, console: Console) -> None:
    """Print a server's health."""
    style = "green" if state is Health.SERVING else "red"
    words = str(state).replace("_", " ")
    console.print(Text.assemble(visible(address), " is ", (words, f"bold {style}")))


def _figure(figure: Figure) -> str:
    return f"{figure.data_set} {figure.split} {figure.metric} {figure.value:.1%}"
