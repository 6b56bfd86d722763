"""A run in a process of its own that is told to stop."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from functools import partial

import pytest
from scoring_data import ALL_ERRORS, ALL_IDS, errors, files_of, ids, order_for

from polyhead_server.score.alone import score_alone
from polyhead_server.score.run import run


def score_rest(bundle, inputs, output):
    order = order_for(bundle, output)
    run(order, files_of(inputs, output), 2, partial(score_alone, threads=1))


def command(bundle, inputs, output):
    module = [sys.executable, "-m", "polyhead_server", "score", str(bundle), "--local"]
    return [*module, "--input", str(inputs), "--output", str(output), "--fragment-rows", "2"]


@pytest.mark.parametrize("number", [signal.SIGINT])
def test_a_run_that_is_stopped_goes_on(tiny_bundle, inputs, tmp_path, number):
    """Told to stop after its first fragment it says how to go on, and loses nothing."""
    given = command(tiny_bundle, inputs, tmp_path)
    with subprocess.Popen(given, stderr=subprocess.PIPE, text=True) as process:
        first = process.stderr.readline()
        process.send_signal(number)
        rest = process.stderr.read()
    assert first.startswith("1 of ")
    assert process.returncode == 130
    assert not (tmp_path / "_manifest.json").exists()
    assert "To go on: polyhead-server score" in rest
    assert not (tmp_path / "_unfinished").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "_journal").glob("*.json")}
    assert kept
    score_rest(tiny_bundle, inputs, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert ids(tmp_path) == ALL_IDS
    assert errors(tmp_path) == ALL_ERRORS
    assert json.loads((tmp_path / "_manifest.json").read_bytes())["errors"] == ALL_ERRORS.total()
