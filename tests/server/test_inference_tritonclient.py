"""The public tritonclient works unchanged, over gRPC and HTTP, sync and async.

It has an environment of its own, since it asks for other versions of gRPC than we pin.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from background_server import BackgroundServer

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "tritonclient_checks.py"
CHECKS = re.findall(r"^(?:async )?def (check_\w+)\(\):", SCRIPT.read_text(), re.MULTILINE)
PATIENCE = 300


def run(command, **options):
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=PATIENCE, **options
    )


@pytest.fixture(scope="module")
def python():
    """The environment's Python; the environment is made where it is missing or out of date."""
    made = run(["make", "tritonclient"], cwd=ROOT)
    assert made.returncode == 0, made.stderr
    return ROOT / "build/tritonclient-venv/bin/python"


@pytest.fixture(scope="module")
def found(python, tiny_bundle):
    """What each check said."""
    server = BackgroundServer(tiny_bundle, inference_http_port=0)
    addresses = [server.ready.address, server.ready.inference.removeprefix("http://")]
    try:
        ended = run([python, SCRIPT, *addresses])
    finally:
        server.close()
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize("check", CHECKS)
def test_tritonclient(found, check):
    """Each check of the script holds."""
    assert found[check] == "ok", found[check]


def test_every_check_ran(found):
    """The script ran what is listed here, and nothing was left out."""
    assert sorted(found) == sorted(CHECKS)
