"""Hosts with addresses of their own on one switch: network namespaces of this machine's kernel."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_OURS = re.compile(r"polyhead-(\d+)-\S+")
_SUBNET = "10.77.0"
_libc = ctypes.CDLL(None, use_errno=True)


def missing(programs: Sequence[str]) -> str:
    """What this machine lacks for hosts of their own, in one sentence; empty where nothing."""
    lacks = [name for name in ("ip", *programs) if shutil.which(name) is None]
    if lacks:
        return f"programs are missing: {' '.join(lacks)} (Debian: iproute2, prometheus)"
    if os.geteuid() != 0:
        return "network namespaces need root: run it with sudo"
    name = f"polyhead-{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network namespace can be made here (needs CAP_SYS_ADMIN): {made.stderr.strip()}"
    _ip("netns", "delete", name)
    return ""


@dataclass(frozen=True, slots=True)
class Host:
    """One host."""

    name: str
    space: str
    """Its network namespace."""
    address: str
    switch: str
    """The namespace of the switch, where its cable is plugged in under its name."""
    resolver: Path
    """What it reads as /etc/resolv.conf."""

    def command(self, *arguments: object) -> list[str]:
        """A command line that runs a command on this host, without a process in between."""
        bind = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        shell = ("sh", "-c", bind, str(self.resolver))
        return ["ip", "netns", "exec", self.space, *shell, *map(str, arguments)]

    def inside(self, make: Callable[[], T]) -> T:
        """Call something in a thread that is on this host: sockets made there belong to it."""

        def enter() -> T:
            with Path(f"/run/netns/{self.space}").open(encoding="ascii") as space:
                if _libc.setns(space.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"cannot enter {self.space}")
            return make()

        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(enter).result()

    def cut(self) -> None:
        """Pull the cable out."""
        _ip("-n", self.switch, "link", "set", self.name, "down")

    def join(self) -> None:
        """Put it back."""
        _ip("-n", self.switch, "link", "set", self.name, "up")

    def narrow(self, kilobits: int) -> None:
        """Let no more than so many kilobits a second through to it."""
        shape = ("rate", f"{kilobits}kbit", "burst", "3kb", "latency", "5s")
        inside = ("ip", "netns", "exec", self.switch)
        _run(*inside, "tc", "qdisc", "add", "dev", self.name, "root", "tbf", *shape)

    def widen(self) -> None:
        """Undo it."""
        inside = ("ip", "netns", "exec", self.switch)
        _run(*inside, "tc", "qdisc", "delete", "dev", self.name, "root")


@contextlib.contextmanager
def network(names: Sequence[str], folder: Path) -> Iterator[dict[str, Host]]:
    """Hosts on one switch, by name; the first one is every host's name server.

    When the block ends, so does whatever runs on them, and nothing of them is left.
    """
    _sweep()
    prefix = f"polyhead-{os.getpid()}"
    switch = f"{prefix}-switch"
    resolver = folder / "resolv.conf"
    resolver.write_text(f"nameserver {_SUBNET}.1\noptions timeout:1 attempts:5\n")
    hosts = {
        name: Host(name, f"{prefix}-{name}", f"{_SUBNET}.{number}", switch, resolver)
        for number, name in enumerate(names, start=1)
    }
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", switch, "link", "set", "switch", "up")
        for host in hosts.values():
            _plug_in(host)
        yield hosts
    finally:
        for space in (*(host.space for host in hosts.values()), switch):
            _remove(space)


def _plug_in(host: Host) -> None:
    _ip("netns", "add", host.space)
    ends = ("type", "veth", "peer", "name", "eth0", "netns", host.space)
    _ip("link", "add", host.name, "netns", host.switch, *ends)
    _ip("-n", host.switch, "link", "set", host.name, "master", "switch", "up")
    _ip("-n", host.space, "address", "add", f"{host.address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip("-n", host.space, "link", "set", device, "up")


def _sweep() -> None:
    """Remove what runs that were killed have left."""
    for line in _ip("netns", "list").splitlines():
        found = _OURS.match(line)
        if found and not Path(f"/proc/{found[1]}").exists():
            _remove(found[0])


def _remove(space: str) -> None:
    with contextlib.suppress(subprocess.CalledProcessError):
        for pid in _ip("netns", "pids", space).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _ip("netns", "delete", space)


def _ip(*arguments: str) -> str:
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
