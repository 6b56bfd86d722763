"""Commands that run on hosts: started, waited for until they say that they are ready, ended."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.hosts.network import Host

T = TypeVar("T")

PRODUCT = (sys.executable, "-m", "polyhead_server")
_PATIENCE = 90.0
_LOOK_SECONDS = 0.05


class NotInTimeError(Exception):
    """Something that should have come about has not."""


class Running:
    """A command on a host, from its start; what it writes is in a file of the host's name.

    Args:
        host: where it runs.
        log: file for its standard error, which is added to.
        command: program and arguments.
    """

    def __init__(self, host: Host, log: Path, *command: object) -> None:
        self.host = host
        self.log = log
        self.lines: list[str] = []
        """What it has said on standard output so far."""
        with log.open("a", encoding="utf-8") as file:
            self.process = subprocess.Popen(
                host.command(*command), stdout=subprocess.PIPE, stderr=file, text=True
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def ready(self, word: str = "ready") -> dict[str, str]:
        """Wait for the line that says so; its words by the words before them."""
        line = until(lambda: self._line_with(word), f"{self.host.name} says {word}")
        words = line.split()
        return dict(itertools.pairwise(words))

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Have it end, and wait for that; its exit status."""
        self.send(number)
        status = self.process.wait(_PATIENCE)
        self._reader.join()
        return status

    def close(self) -> None:
        """End it at once, whatever state it is in."""
        if self.process.poll() is None:
            self.end(signal.SIGKILL)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line)

    def _line_with(self, word: str) -> str:
        if self.process.poll() is not None and not self._reader.is_alive():
            last = self.log.read_text(encoding="utf-8")[-2000:]
            raise NotInTimeError(f"{self.host.name} ended with {self.process.returncode}: {last}")
        return next((line for line in self.lines if word in line), "")


def until(found: Callable[[], T], what: str, patience: float = _PATIENCE) -> T:
    """What is found once it is there.

    Raises:
        NotInTimeError: it does not come.
    """
    end = time.monotonic() + patience
    while not (value := found()):
        if time.monotonic() > end:
            raise NotInTimeError(f"not within {patience:g} seconds: {what}")
        time.sleep(_LOOK_SECONDS)
    return value
