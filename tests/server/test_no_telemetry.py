"""OpenVINO's telemetry stays out: it would fork the server, and end the copy by a shared signal."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, sys
events = []
sys.addaudithook(lambda event, _: events.append(event) if "fork" in event else None)
import polyhead_server.openvino_engine
import openvino
from openvino.tools.ovc.telemetry_utils import init_ovc_telemetry
assert type(init_ovc_telemetry()).__module__ == "openvino.tools.ovc.telemetry_stub"
assert not events, events
"""


def test_importing_the_engine_forks_nothing_and_tells_nobody():
    """Neither at its import nor later is there a second process or a word to anybody."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr.decode()) == (0, "")
