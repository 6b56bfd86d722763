"""Faults of the machine: killed workers, damaged files, full disks, no file descriptors."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import polyhead
from polyhead_server.bundle import MANIFEST
from tests.bench.processes import cpu_seconds
from tests.bench.wire import PREFACE
from tests.chaos.frames import close_all, connect, settings
from tests.chaos.server import Server, seconds_until
from tests.chaos.trial import Result, Trial

if TYPE_CHECKING:
    import socket

    from tests.chaos.size import Size


def killed_worker(bundle: Path, folder: Path, size: Size) -> Result:
    """Workers are killed under load: others come, and with retries no call is lost."""
    with (
        Server(bundle, folder, "--workers=2") as server,
        Trial("worker killed", server) as trial,
    ):
        replaced = []
        with trial.calls(size.seconds):
            for _ in range(size.kills):
                victim = min(server.workers())
                os.kill(victim, signal.SIGKILL)
                replaced.append(_replaced(server, victim))
                time.sleep(0.2)
        trial.result.faults = {"kills": size.kills, "replaced_seconds": max(replaced)}
    return trial.result


def _replaced(server: Server, victim: int) -> float:
    def done() -> bool:
        # What the supervisor counts may still count the victim.
        workers = server.workers()
        return victim not in workers and len(workers) == server.metric("polyhead_workers") == 2

    return seconds_until(done)


def half_bundle(bundle: Path, folder: Path, size: Size) -> Result:
    """A bundle is replaced half-way: what serves goes on; a new worker waits until it is whole."""
    served = folder / "bundle"
    shutil.copytree(bundle, served)
    with (
        Server(served, folder, "--workers=2") as server,
        Trial("bundle replaced half-way", server) as trial,
    ):
        with trial.calls(size.seconds):
            for name in ("encoder.bin", "tokenizer.json"):
                _replace(served / name, (bundle / name).read_bytes()[:100])
            victim = min(server.workers())
            os.kill(victim, signal.SIGKILL)
            refused = seconds_until(lambda: "damaged" in str(server.events("worker_ended")))
            for name in ("encoder.bin", "tokenizer.json"):
                _replace(served / name, (bundle / name).read_bytes())
            back = _replaced(server, victim)
        trial.expect("damaged" in str(server.events("worker_ended")), "nobody said why")
        trial.expect(len(server.workers()) == 2, "no worker came in its place")
        trial.result.faults = {"refused_seconds": refused, "replaced_seconds": back}
    return trial.result


def half_reload(bundle: Path, folder: Path, size: Size) -> Result:
    """A reload finds a bundle that was copied half-way: the old one goes on, the log says why."""
    served = folder / "bundle"
    shutil.copytree(bundle, served)
    with Server(served, folder) as server, Trial("reload of half a bundle", server) as trial:
        with trial.calls(size.seconds):
            for _ in range(size.kills):
                manifest = json.loads((bundle / MANIFEST).read_text()) | {"version": "next"}
                _replace(served / MANIFEST, json.dumps(manifest).encode())
                _replace(served / "encoder.bin", (bundle / "encoder.bin").read_bytes()[:100])
                before = server.logged().count("damaged")
                server.process.send_signal(signal.SIGHUP)
                seconds_until(lambda n=before: server.logged().count("damaged") > n, 10)
            _replace(served / "encoder.bin", (bundle / "encoder.bin").read_bytes())
            server.process.send_signal(signal.SIGHUP)
            taken = seconds_until(lambda: _version(server) == "next", 20)
        trial.expect(_version(server) == "next", "the whole bundle was not taken")
        trial.expect("damaged" in server.logged(), "nobody said why")
        trial.result.faults = {"reloads": size.kills, "taken_seconds": taken}
    return trial.result


def _version(server: Server) -> str:
    with polyhead.Client(server.address) as client:
        return str(client.list_tasks().version)


def _replace(file: Path, content: bytes) -> None:
    fresh = file.with_suffix(".fresh")
    fresh.write_bytes(content)
    fresh.replace(file)


def full_disk(bundle: Path, folder: Path, size: Size) -> Result:
    """The log's disk is full from the first line on, and a line is to be written for each call."""
    full = Path("/dev/full")
    with (
        Server(bundle, folder, "--access-log", log=full) as server,
        Trial("disk of the log is full", server) as trial,
    ):
        with trial.calls(size.seconds):
            pass
        trial.result.faults = {"lines_lost": trial.result.calls.total()}
    return trial.result


def full_cache_disk(bundle: Path, folder: Path, size: Size) -> Result:
    """The disk of the compile cache is full: the server starts without it."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "chaos", str(disk)], check=True)
    try:
        with contextlib.suppress(OSError):
            (disk / "ballast").write_bytes(bytes(1 << 20))
        with (
            Server(bundle, folder, f"--compile-cache={disk}") as server,
            Trial("disk of the compile cache is full", server) as trial,
        ):
            with trial.calls(size.seconds):
                pass
            trial.result.faults = {"free_bytes": shutil.disk_usage(disk).free}
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    return trial.result


def no_files(bundle: Path, folder: Path, size: Size) -> Result:
    """The server runs out of file descriptors: connections there are go on, others come later."""
    with Server(bundle, folder) as server, Trial("no file descriptors", server) as trial:
        limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        with trial.calls():
            time.sleep(0.2)
            room = server.held().files + 16
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (room, limits[1]))
            first = PREFACE + settings()
            many = [connect(server.place, first) for _ in range(3 * 16)]
            metrics = [_try_connect(server) for _ in range(4)]
            time.sleep(size.seconds)
            burnt = _cpu_share(server, 0.5)
            close_all([*many, *filter(None, metrics)])
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
        trial.result.faults = {"files": room, "connections": len(many), "cpu_share": burnt}
    return trial.result


def _try_connect(server: Server) -> socket.socket | None:
    host, _, port = server.urls["metrics"].split("/")[2].rpartition(":")
    with contextlib.suppress(OSError):
        return connect((host, int(port)), b"GET /metrics HTTP/1.1\r\n\r\n")
    return None


def _cpu_share(server: Server, seconds: float) -> float:
    """Part of a processor that the server takes."""
    before = cpu_seconds(server.pid)
    time.sleep(seconds)
    return round((cpu_seconds(server.pid) - before) / seconds, 2)


def can_mount() -> bool:
    """Whether this process may mount a file system."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "chaos", "/mnt"],
        check=False,
        capture_output=True,
    )
    return tried.returncode == 0
