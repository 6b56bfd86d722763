"""What systemd is told by a server, over a real socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess

import pytest
from background_server import PATIENCE
from gateway_processes import COMMAND
from worker_server import arguments

from polyhead_server import notify


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """A socket as systemd opens it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(2 * PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_tell(systemd):
    """Each word is a line of one datagram."""
    assert notify.tell("READY=1", "STATUS=well")
    assert systemd.recv(1024) == b"READY=1\nSTATUS=well"


def test_abstract_name(monkeypatch):
    """A name that begins with @ is in no folder."""
    name = f"polyhead-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert notify.tell("READY=1")
        assert sock.recv(1024) == b"READY=1"


def test_nobody_there(monkeypatch, tmp_path):
    """Without systemd nothing is done, and a socket that is gone is no fault."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify.tell("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify.tell("READY=1")


async def test_signs_of_life(systemd, monkeypatch):
    """Signs come while the process is alive, and only where systemd waits for them."""
    asked = []

    def alive():
        asked.append(None)
        return len(asked) > 1

    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    systemd.setblocking(False)  # noqa: FBT003 - so it is called
    with notify.signs_of_life(alive):
        await _readable(systemd)
    assert systemd.recv(1024) == b"WATCHDOG=1"
    assert len(asked) >= 2


@pytest.mark.parametrize(("usec", "pid"), [("", None), ("0", None), ("x", None), ("9", "1")])
async def test_no_signs_wanted(systemd, monkeypatch, usec, pid):
    """Nothing is sent where no time is set, or where it is another process's."""
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    if pid is not None:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    with notify.signs_of_life(lambda: pytest.fail("nobody is to be asked")):
        pass


async def _readable(sock):
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await ready.wait()
    finally:
        loop.remove_reader(sock)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_tells(tiny_bundle, systemd, workers):
    """Ready once it is, signs of life meanwhile, stopping with the signal; workers say nothing."""
    command = [*COMMAND, *arguments(tiny_bundle, workers=workers)]
    environment = {**os.environ, "WATCHDOG_USEC": "300000"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        ready, _, status = systemd.recv(4096).partition(b"\n")
        assert ready == b"READY=1"
        assert status.startswith(b"STATUS=polyhead ready on ")
        assert systemd.recv(4096) == b"WATCHDOG=1"
        process.send_signal(signal.SIGTERM)
        told = systemd.recv(4096)
        while told == b"WATCHDOG=1":
            told = systemd.recv(4096)
        assert told == b"STOPPING=1"
        process.communicate(timeout=2 * PATIENCE)
        assert process.returncode == 0
