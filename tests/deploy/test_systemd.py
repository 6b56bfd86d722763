"""The unit for systemd says what the server does, and systemd can read it."""

from __future__ import annotations

import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

from polyhead_server.settings import Settings

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "polyhead-server.service"


def service():
    unit = RawConfigParser()  # strict: nothing is said twice
    unit.optionxform = str
    unit.read_string(UNIT.read_text(encoding="utf-8"))
    return unit["Service"]


def test_life():
    """Ready, alive, reloaded and stopped as the server knows it; time enough to drain."""
    found = service()
    assert found["Type"] == "notify"
    assert found["ExecReload"].endswith("-HUP $MAINPID")
    settings = Settings()
    assert int(found["TimeoutStopSec"]) > settings.drain_seconds
    assert int(found["WatchdogSec"]) > settings.stuck_seconds
    assert int(found["LimitNOFILE"]) >= 10_000


def test_systemd_reads_it(tmp_path):
    """Where systemd is installed, it finds no fault; the program's place is this machine's."""
    if shutil.which("systemd-analyze") is None:
        return  # nothing to ask
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/polyhead/bin/polyhead-server", "/bin/true"))
    verify = ["systemd-analyze", "verify", "--man=no", str(unit)]
    run = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert UNIT.name not in run.stderr
