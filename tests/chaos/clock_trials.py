"""The wall clock of a server jumps, as after a suspend, by a wrong hand, or when NTP steps it."""

from __future__ import annotations

import shutil
import signal
import struct
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.server import Server, seconds_until
from tests.chaos.trial import Result, Trial

if TYPE_CHECKING:
    from tests.chaos.size import Size

_SOURCE = Path(__file__).with_name("clock.c")
_HOUR, _DAY, _YEAR = 3_600, 86_400, 365 * 86_400
_JUMPS = (_HOUR, -_DAY, -1, _YEAR)
"""Seconds by which the server's clock is off, one after the other."""
_DEADLINE = 5.0


def can_compile() -> bool:
    """Whether a C compiler is there."""
    return shutil.which("cc") is not None


class Clock:
    """The wall clock of processes that are started with `environment`.

    Args:
        folder: where what they need is put.
    """

    def __init__(self, folder: Path) -> None:
        library = folder / "clock.so"
        command = ["cc", "-shared", "-fPIC", "-O1", str(_SOURCE), "-o", str(library), "-ldl"]
        subprocess.run(command, check=True)
        self._shift = folder / "shift"
        self._shift.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(self._shift)}

    def jump(self, seconds: int) -> None:
        """Set it so far off."""
        with self._shift.open("r+b") as file:
            file.write(struct.pack("q", seconds))


def jumping_clock(bundle: Path, folder: Path, size: Size) -> Result:
    """The clock jumps to and fro under load: no call notices, not even one without retries."""
    clock = Clock(folder)
    with (
        Server(bundle, folder, environment=clock.environment) as server,
        Trial("clock jumps", server) as trial,
    ):
        ended = []
        with trial.calls(size.seconds):
            for jump in _JUMPS:
                clock.jump(jump)
                end = time.monotonic() + size.seconds / len(_JUMPS)
                while time.monotonic() < end:
                    ended.append(server.call(_DEADLINE))
            ahead = _log_ahead(server)
            clock.jump(0)
        trial.expect(set(ended) == {"OK"}, f"calls without retries ended with {set(ended)}")
        trial.expect(abs(ahead - _YEAR) < _HOUR, f"the server's clock is {ahead} seconds ahead")
        trial.result.faults = {"jumps": len(_JUMPS), "farthest_days": max(_JUMPS) // _DAY}
    return trial.result


def _log_ahead(server: Server) -> float:
    """Seconds by which the log is ahead of us, told by a reload; which is to work as well."""
    before = len(server.events("reloaded"))
    server.process.send_signal(signal.SIGHUP)
    seconds_until(lambda: len(server.events("reloaded")) > before)
    moment = datetime.fromisoformat(str(server.events("reloaded")[-1]["timestamp"]))
    return (moment - datetime.now(UTC)).total_seconds()
