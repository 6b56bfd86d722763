"""Every trial, by name, and the table of what came of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos import caller_trials, clock_trials, engine_trials, overload_trials, process_trials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.chaos.size import Size
    from tests.chaos.trial import Result

    Run = Callable[[Path, Path, Size], Result]

TRIALS: dict[str, Run] = {
    "killed-worker": process_trials.killed_worker,
    "engine-raises": engine_trials.raising,
    "engine-exits": engine_trials.ending,
    "engine-hangs": engine_trials.hanging,
    "worker-hangs": engine_trials.hanging_worker,
    "half-bundle": process_trials.half_bundle,
    "half-reload": process_trials.half_reload,
    "full-disk": process_trials.full_disk,
    "no-files": process_trials.no_files,
    "rude-callers": caller_trials.rude,
    "crowd": caller_trials.crowd,
    "cancels": caller_trials.cancels,
    "resets": caller_trials.resets,
    "overload": overload_trials.overload,
}
"""What every Linux machine can do."""

WITH_RIGHTS: dict[str, tuple[Callable[[], object], Run]] = {
    "full-cache-disk": (process_trials.can_mount, process_trials.full_cache_disk),
    "clock-jumps": (clock_trials.can_compile, clock_trials.jumping_clock),
}
"""What only some machines can do: those with the right to mount, those with a C compiler."""


def able() -> dict[str, Run]:
    """Those of them that this machine can do."""
    return {name: run for name, (can, run) in WITH_RIGHTS.items() if can()}


def table(results: Iterable[Result]) -> str:
    """The results in Markdown."""
    lines = [
        "| trial | what was done | calls | failed | slowest | recovery | memory | threads | fds ||",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, results)])


def _line(result: Result) -> str:
    before, after = result.before, result.after
    assert before is not None
    assert after is not None
    done = ", ".join(f"{name.replace('_', ' ')} {_shown(v)}" for name, v in result.faults.items())
    ended = ", ".join(f"{v} {k}" for k, v in result.calls.items() if k != "OK")
    cells = [
        *(result.name, done, f"{result.calls['OK']} OK", ended or "0"),
        *(f"{result.slowest:.2f} s", f"{result.recovery:.2f} s"),
        f"{before.mebibytes:.0f} → {after.mebibytes:.0f} MiB",
        f"{before.threads} → {after.threads}",
        f"{before.files} → {after.files}",
        "; ".join(result.problems) or "passed",
    ]
    return f"| {' | '.join(cells)} |"


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
