"""What a run has to do, written down when it begins, so that it can be gone on with later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from polyhead_server.score.errors import ScoreError
from polyhead_server.score.fragments import Fragment, InputFile, cut_up, measure
from polyhead_server.score.journal import PLAN, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from polyhead_server.score.order import Order

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """The input, cut up."""

    files: tuple[InputFile, ...]
    fragments: tuple[Fragment, ...]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)


def plan_for(order: Order, files: Sequence[Path], fragment_rows: int) -> Plan:
    """The plan of the run that was begun in the output folder, or a new one.

    Args:
        order: what is asked for now.
        files: the input of now.
        fragment_rows: rows of a fragment, where the plan is new.

    Raises:
        ScoreError: the run was begun with something else, or the folder holds something else.
        SettingsError: the input has not the columns asked for.
        OSError: a file cannot be read or written.
    """
    place = order.output / PLAN
    if place.exists():
        return _taken_up(place, order, files)
    if any(order.output.glob("part-*")):
        raise ScoreError(f"{order.output} holds parts of no known run: choose another --output")
    cut = [cut_up(n, path, fragment_rows, order.fields) for n, path in enumerate(files)]
    plan = Plan(tuple(f for f, _ in cut), tuple(part for _, parts in cut for part in parts))
    write_whole(place, json.dumps(_content(order, plan)).encode())
    return plan


def _content(order: Order, plan: Plan) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "terms": order.terms(),
        "files": [asdict(file) for file in plan.files],
        "fragments": [asdict(fragment) for fragment in plan.fragments],
    }


def _taken_up(place: Path, order: Order, files: Sequence[Path]) -> Plan:
    try:
        content = json.loads(place.read_bytes())
        known = content["format"] == _FORMAT
        if known:
            plan = Plan(
                tuple(InputFile(**file) for file in content["files"]),
                tuple(Fragment(**fragment) for fragment in content["fragments"]),
            )
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise ScoreError(f"{place} is not a plan of this version: choose another --output")
    terms = order.terms()
    differing = [name for name in terms if content["terms"].get(name) != terms[name]]
    if differing:
        named = ", ".join("the bundle" if name == "bundle" else f"--{name}" for name in differing)
        raise ScoreError(
            f"{order.output} was begun with another value of {named}: choose another --output"
        )
    _ensure_same_files(plan, files, order.output)
    return plan


def _ensure_same_files(plan: Plan, files: Sequence[Path], output: Path) -> None:
    now = {str(path): measure(path) for path in files}
    then = {file.path: (file.size, file.changed) for file in plan.files}
    changed = sorted(path for path in now.keys() | then.keys() if now.get(path) != then.get(path))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise ScoreError(
            f"{output} was begun with other input: {changed[0]}{more} came, went or changed since; "
            "choose another --output"
        )
