"""The bench that tells what each stage around the engine costs: it calls the server's insides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench.path import STAGES

ROOT = Path(__file__).parents[2]


def test_path_tells_every_stage_of_every_kind_of_texts() -> None:
    command = (sys.executable, "-m", "tests.bench.path", "--texts=32", "--rounds=1")
    ended = subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    head, *rows = ended.stdout.splitlines()
    assert head.split()[-len(STAGES) - 1 :] == [*STAGES, "sum"]
    assert len(rows) == 6  # three kinds of texts, in calls of two sizes
    for row in rows:
        *stages, total = map(float, row.split()[-len(STAGES) - 1 :])
        assert min(stages[:-1]) > 0  # the last is a difference
        assert abs(sum(stages) - total) < 1
