"""Nothing is timed by a clock that can jump: durations and deadlines are by the monotonic one."""

from __future__ import annotations

import ast
from pathlib import Path

import polyhead_server

FOLDER = Path(polyhead_server.__file__).parent
WALL = {"time", "time_ns", "now", "utcnow", "today", "localtime", "ctime"}
MAY = {
    "inference/statistics.py",  # the moment of a model's last call
    "quick_metrics.py",  # the moment of an exemplar
    "rollout/figures.py",  # the moment of a load
    "rollout/served.py",  # the moment of a load
    "tracing.py",  # spans have moments
    "security/web_tokens.py",  # a token's expiry is a moment
}


def test_monotonic_only():
    """Only moments that are shown or given by others are read off the wall clock."""
    users = {
        path.relative_to(FOLDER).as_posix()
        for path in FOLDER.rglob("*.py")
        if reads_wall_clock(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert users <= MAY


def reads_wall_clock(tree: ast.AST) -> bool:
    """Whether a module calls time.time, datetime.now or the like."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"time", "datetime", "date"}
        and node.func.attr in WALL
        for node in ast.walk(tree)
    )


def test_the_check_sees():
    """The check itself: a wall clock is seen, a monotonic one is not."""
    assert reads_wall_clock(ast.parse("start = time.time()"))
    assert not reads_wall_clock(ast.parse("start = time.monotonic()"))
