"""A run from order to manifest."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polyhead_server.bundle import open_bundle
from polyhead_server.checks import EVERY_TASK
from polyhead_server.errors import SettingsError
from polyhead_server.score.journal import MANIFEST, Journal, write_whole
from polyhead_server.score.parts import error_line
from polyhead_server.score.plan import plan_for
from polyhead_server.score.progress import Going
from polyhead_server.score.rows import BadRow

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from polyhead_server.score.fragments import Fragment
    from polyhead_server.score.journal import Done
    from polyhead_server.score.order import Order
    from polyhead_server.score.plan import Plan


@dataclass(frozen=True, slots=True)
class Totals:
    """What a finished run wrote."""

    files: int
    fragments: int
    scored: int
    errors: int
    tokens: int


def identity_and_tasks(
    bundle: Path, tasks: Sequence[str], key: Path | None
) -> tuple[str, tuple[str, ...]]:
    """The identity of a verified bundle, and the tasks to run, all of its if none is named.

    Raises:
        BundleError: it is damaged, or not signed as asked for.
        SettingsError: it has no such task.
    """
    from polyhead_server.security.signing import ensure_signed  # noqa: PLC0415

    opened = open_bundle(bundle)
    if key is not None:
        ensure_signed(opened, key)
    known = [head.name for head in opened.heads]
    if unknown := [task for task in tasks if task not in known and task != EVERY_TASK]:
        raise SettingsError([f"--tasks: no {', '.join(unknown)}; there are {', '.join(known)}"])
    wanted = known if not tasks or EVERY_TASK in tasks else list(dict.fromkeys(tasks))
    return opened.identity, tuple(wanted)


def run(
    order: Order,
    files: Sequence[Path],
    fragment_rows: int,
    score: Callable[[Order, Sequence[Fragment]], Generator[Done, None, None]],
    watch: Callable[[Done], None] = lambda _: None,
) -> Totals:
    """Begin a run, or go on with it, to the end.

    Args:
        order: what is asked for.
        files: the input.
        fragment_rows: rows of a fragment, where the run is new.
        score: scores fragments; gives what became of each.
        watch: is told of each that is finished now.

    Raises:
        PolyheadError: the run cannot begin or go on.
        OSError: a file cannot be read or written.
    """
    journal = Journal(order.output)
    with journal.alone():
        journal.prepare()
        plan = plan_for(order, files, fragment_rows)
        done = {f.name: found for f in plan.fragments if (found := journal.finished(f))}
        left = [fragment for fragment in plan.fragments if fragment.name not in done]
        try:
            if left:
                _go(order, plan, done, left, score, watch)
        finally:
            journal.sweep()
        return _conclude(order, plan, done, journal)


def _go(
    order: Order,
    plan: Plan,
    done: dict[str, Done],
    left: Sequence[Fragment],
    score: Callable[[Order, Sequence[Fragment]], Generator[Done, None, None]],
    watch: Callable[[Done], None],
) -> None:
    rows = {fragment.name: fragment.rows for fragment in plan.fragments}
    before = sum(rows[name] for name in done)
    with (
        Going(len(rows), sum(rows.values()), len(done), before) as going,
        closing(score(order, left)) as results,
    ):
        for finished in results:
            if finished.name not in done:
                done[finished.name] = finished
                going.take(finished, rows[finished.name])
                watch(finished)


def _conclude(order: Order, plan: Plan, done: dict[str, Done], journal: Journal) -> Totals:
    damaged = [
        error_line(file.path, BadRow(file.rows + 1, f"damaged from here on: {file.damage}"))
        for file in plan.files
        if file.damage
    ]
    journal.write_errors(plan.fragments, damaged)
    totals = Totals(
        files=len(plan.files),
        fragments=len(plan.fragments),
        scored=sum(item.scored for item in done.values()),
        errors=sum(item.errors for item in done.values()) + len(damaged),
        tokens=sum(item.tokens for item in done.values()),
    )
    content = json.dumps(_manifest(order, plan, done, totals, journal), indent=1)
    write_whole(order.output / MANIFEST, content.encode())
    return totals


def _manifest(
    order: Order, plan: Plan, done: dict[str, Done], totals: Totals, journal: Journal
) -> dict[str, Any]:
    parts: list[list[dict[str, Any]]] = [[] for _ in plan.files]
    for fragment in plan.fragments:
        found = done[fragment.name]
        part = {"name": journal.part(fragment).name, "first_row": fragment.first + 1}
        parts[fragment.file].append({**part, "rows": found.scored, "errors": found.errors})
    return {
        **order.terms(),
        "rows": totals.scored,
        "errors": totals.errors,
        "tokens": totals.tokens,
        "files": [
            {"path": file.path, "parts": own} for file, own in zip(plan.files, parts, strict=True)
        ],
    }
