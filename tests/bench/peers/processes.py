"""Servers in processes of their own, with all that they start: found by a mark in the environment.

Daemons leave their parent, and programs that give themselves a title overwrite their environment: a
process belongs here if it inherited the mark, or if its parent belongs here. All are ended by their
number.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.processes import cpu_seconds, stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MARK = "POLYHEAD_BENCH_MARK"
_LOOK = 0.1
_GRACE = 15.0
_TAIL = 2000
_PORTS = range(20_000, 32_000)
"""Below those that connections and ports of a peer's own get while it starts."""


class StartError(Exception):
    """A server did not come up."""


@dataclass
class Group:
    """A server and everything that it has started."""

    mark: str
    process: subprocess.Popen[bytes]
    log: Path
    seconds_to_ready: float = 0.0

    def members(self) -> list[int]:
        """Numbers of its processes."""
        wanted = f"{MARK}={self.mark}".encode()
        parents = {pid: _parent(pid) for pid in _processes()}
        found = {pid for pid in parents if wanted in _environment(pid)} | {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found)

    def cpu_clock(self) -> Callable[[], float]:
        """A cheap clock of the processor time of the processes that there are now."""
        members = self.members()
        return lambda: sum(cpu_seconds(pid) for pid in members)

    def memory(self) -> int:
        """Bytes in memory; pages that processes share are counted once."""
        return sum(_proportional(pid) for pid in self.members())


@contextlib.contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str],
    answers: Callable[[], bool],
    patience: float,
    folder: Path,
) -> Iterator[Group]:
    """Run a server until the block ends.

    Args:
        command: program and arguments.
        environment: beside the present one.
        answers: whether it answers; asked until it does.
        patience: seconds until it must.
        folder: where it runs.

    Raises:
        StartError: it ended, or does not answer.
    """
    mark = secrets.token_hex(8)
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment, MARK: mark},
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
        group = Group(mark, process, Path(log.name))
        try:
            _wait(group, answers, begin + patience)
            group.seconds_to_ready = time.perf_counter() - begin
            yield group
        finally:
            _end(group)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nothing listens on, and that the system gives nobody unasked."""
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for port in random.sample(_PORTS, len(_PORTS)):
            one = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise StartError("no port is free")


def _wait(group: Group, answers: Callable[[], bool], until: float) -> None:
    while not answers():
        if group.process.poll() is not None or time.perf_counter() > until:
            said = group.log.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
            raise StartError(f"the server did not come up; it said:\n{said}")
        time.sleep(_LOOK)


def _end(group: Group) -> None:
    members = _births(group.members())
    group.process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        group.process.wait(_GRACE)
    for pid, started in {**members, **_births(group.members())}.items():
        if _birth(pid) == started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    group.process.wait(_GRACE)


def _processes() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            yield int(entry.name)


def _environment(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def _births(pids: Sequence[int]) -> dict[int, int]:
    return {pid: _birth(pid) for pid in pids}


def _birth(pid: int) -> int:
    """When a process began, in ticks: tells it from a later one of the same number."""
    return int(stat(pid)[19])


def _parent(pid: int) -> int:
    return int(stat(pid)[1])


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        return (
            next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
            * 1024
        )
    return 0
