"""What ``polyhead-train check`` does: describes the data of a configuration, and trains nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table

from polyhead_training.balance import PARTS, balance, warnings
from polyhead_training.console import open_console
from polyhead_training.data import load_inputs
from polyhead_training.leakage import KINDS, count_leaks, find_leaks, surface

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from polyhead_training.balance import PartBalance, SourceBalance
    from polyhead_training.config import Config
    from polyhead_training.leakage import LeakCount

_MOST_LABELS = 40
"""Labels of a source in the table; --json has all."""
_SHOWN_TEXT = 100
"""Characters of a text that are printed."""


def check(config: Path, data: Path, *, as_json: bool = False, show_text: bool = False) -> None:
    """Report every error of a configuration and its data, else what the data are made of.

    Args:
        config: training configuration.
        data: directory that its files are relative to.
        as_json: print one JSON object instead of tables.
        show_text: print texts that training and measured data share, not only their places.

    Raises:
        InputError: all that is wrong.
    """
    settings, sources = load_inputs(config, data)
    found = balance(settings, sources)
    leaks = count_leaks(find_leaks(sources), sources)
    console = open_console()
    if as_json:
        content = _content(settings, found, leaks, show_text=show_text)
        console.print_json(json.dumps(content))
        return
    console.print(_source_table(found))
    console.print(_label_table(found))
    _print_leaks(console, leaks, show_text=show_text)
    lines = warnings(settings, found)
    for line in lines:
        console.print(f"warning: {line}", soft_wrap=True, markup=False)
    overlaps = sum(leak.total > 0 for leak in leaks)
    console.print(
        f"no errors, {len(lines)} warnings, {overlaps} overlaps of training with measured data"
    )


def _source_table(found: Sequence[SourceBalance]) -> Table:
    table = Table(title="Data sets: texts, and their lengths in words", title_justify="left")
    for name in ("source", "head"):
        table.add_column(name, overflow="fold")
    for name in (*PARTS, "dropped", "mean", "median", "95 %", "longest", "entropy", "most/least"):
        table.add_column(name, justify="right")
    for each in found:
        train = each.parts.get("train") or next(iter(each.parts.values()), None)
        counts = [_count(each.parts.get(part)) for part in PARTS]
        dropped = f"{each.dropped:,}" if each.dropped else ""
        shares = (f"{each.entropy:.2f}", f"{each.imbalance:.1f}") if each.imbalance else ("", "")
        row = (each.source, each.head, *counts, dropped, *_lengths(train), *shares)
        table.add_row(*row)
    return table


def _count(part: PartBalance | None) -> str:
    return f"{part.examples:,}" if part else ""


def _lengths(part: PartBalance | None) -> tuple[str, ...]:
    if part is None:
        return ("", "", "", "")
    lengths = part.lengths
    return f"{lengths.mean:.1f}", f"{lengths.median}", f"{lengths.p95}", f"{lengths.longest:,}"


_UNITS = {"classification": "texts", "tagging": "words", "spans": "spans"}


def _label_table(found: Sequence[SourceBalance]) -> Table:
    table = Table(title="Labels: how often each comes, and its share", title_justify="left")
    for name in ("source", "label"):
        table.add_column(name, overflow="fold")
    table.add_column("of")
    for part in PARTS:
        table.add_column(part, justify="right")
        table.add_column("%", justify="right")
    for each in found:
        _add_labels(table, each)
    return table


def _add_labels(table: Table, each: SourceBalance) -> None:
    labels = list(dict.fromkeys(label for part in each.parts.values() for label in part.labels))
    name, unit = each.source, _UNITS[each.kind]
    for label in labels[:_MOST_LABELS]:
        cells = [cell for part in PARTS for cell in _share(each.parts.get(part), label)]
        table.add_row(name, label, unit, *cells)
        name = ""
    if len(labels) > _MOST_LABELS:
        table.add_row("", f"... and {len(labels) - _MOST_LABELS} more", unit)
    table.add_section()


def _share(part: PartBalance | None, label: str) -> tuple[str, str]:
    if part is None:
        return "", ""
    total = sum(part.labels.values())
    count = part.labels.get(label, 0)
    return f"{count:,}", f"{100 * count / total:.1f}" if total else ""


def _print_leaks(console: Console, leaks: Sequence[LeakCount], *, show_text: bool) -> None:
    if not leaks:
        console.print("no training example is in dev or test data too")
        return
    table = Table(title="Training examples that are in measured data too", title_justify="left")
    for name in ("trained by", "measured by", "part"):
        table.add_column(name, overflow="fold")
    for kind in KINDS:
        table.add_column(kind, justify="right")
    for leak in leaks:
        counts = (f"{leak.counts[kind]:,}" for kind in KINDS)
        table.add_row(leak.source, leak.of, leak.part, *counts)
    console.print(table)
    for leak in leaks:
        for trained, measured in leak.examples:
            lines = [f"{trained.origin} is like {measured.origin}"]
            if show_text:
                lines += [f"    {surface(each)[:_SHOWN_TEXT]!r}" for each in (trained, measured)]
            console.print("\n".join(lines), soft_wrap=True, markup=False)


def _content(
    config: Config,
    found: Sequence[SourceBalance],
    leaks: Sequence[LeakCount],
    *,
    show_text: bool,
) -> dict[str, Any]:
    return {
        "config": config.name,
        "sources": [asdict(each) for each in found],
        "leakage": [_leak_content(leak, show_text=show_text) for leak in leaks],
        "warnings": warnings(config, found),
    }


def _leak_content(leak: LeakCount, *, show_text: bool) -> dict[str, Any]:
    return {
        "source": leak.source,
        "of": leak.of,
        "part": leak.part,
        **{str(kind): count for kind, count in leak.counts.items()},
        "examples": [
            {"train": trained.origin, "measured": measured.origin}
            | ({"texts": [surface(trained), surface(measured)]} if show_text else {})
            for trained, measured in leak.examples
        ],
    }
