"""Processes under measurement: started, waited for, and asked of /proc what they use."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MEBIBYTE = 2**20
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its children hold at one moment."""

    resident: int
    """Bytes in memory."""
    threads: int
    files: int
    """Open file descriptors."""

    @property
    def mebibytes(self) -> float:
        """Mebibytes in memory."""
        return self.resident / MEBIBYTE


@dataclass(frozen=True, slots=True)
class Started:
    """A process that has told that it is ready."""

    process: subprocess.Popen[str]
    line: str
    """What it said."""
    seconds: float
    """From its start to that line."""

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def said(self, before: str) -> str:
        """The word behind another one in its line.

        Raises:
            LookupError: it did not say it.
        """
        words = self.line.split()
        if before not in words[:-1]:
            raise LookupError(f"no {before} in: {self.line}")
        return words[words.index(before) + 1]

    def cpu_seconds(self) -> float:
        """Processor time that it and its children have taken."""
        return sum(cpu_seconds(pid) for pid in family(self.pid))

    def usage(self) -> Usage:
        """What it and its children hold now."""
        return usage(self.pid)


@contextlib.contextmanager
def started(command: Sequence[str], ready: str, errors: int | None = None) -> Iterator[Started]:
    """Run a command until the block ends; wait first for a line that holds `ready`.

    Args:
        command: program and arguments.
        ready: what the line of standard output holds.
        errors: where its standard error goes, as `Popen` takes it; ours where none is given.

    Raises:
        RuntimeError: it ended before.
    """
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        try:
            line = _line_with(process, ready)
            yield Started(process, line, time.perf_counter() - begin)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
            process.kill()


def _line_with(process: subprocess.Popen[str], ready: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if ready in line:
            return line
    raise RuntimeError(f"{process.args!r} ended before it was ready")


def usage(pid: int) -> Usage:
    """What a process and its children hold now."""
    members = family(pid)
    return Usage(
        resident=sum(resident(one) for one in members),
        threads=sum(len(_entries(one, "task")) for one in members),
        files=sum(len(_entries(one, "fd")) for one in members),
    )


def family(pid: int) -> list[int]:
    """A process and all that come of it."""
    found = [pid]
    for task in _entries(pid, "task"):
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
            found += [one for child in children.split() for one in family(int(child))]
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken; none where it is gone."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def stat(pid: int) -> Sequence[str]:
    """What /proc tells in a line, from the state on; zeros where the process is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return ["0"] * 50


def resident(pid: int) -> int:
    """Bytes of a process in memory."""
    with contextlib.suppress(OSError):
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _entries(pid: int, folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return [entry.name for entry in Path(f"/proc/{pid}/{folder}").iterdir()]
    return []
