"""The real command with several workers, in processes of its own, for tests from outside."""

from __future__ import annotations

import contextlib
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
from background_server import PATIENCE
from gateway_processes import COMMAND, events_of
from prometheus_client.parser import text_string_to_metric_families

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub

REQUEST = pb.AnnotateRequest(documents=[doc.Document(text="the fans")], tasks=["pos"])
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


def arguments(bundle: Path, *flags: str, workers: int = 2) -> list[str]:
    """What serves a bundle on free ports."""
    ports = ["--port=0", "--metrics-port=0"]
    return ["serve", f"--workers={workers}", "--bundle", str(bundle), *ports, *flags]


class WorkerServer:
    """A supervisor with its workers, ready when made."""

    def __init__(self, bundle: Path, folder: Path, *flags: str) -> None:
        self._log = folder / "log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments(bundle, *flags)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.ready = self.process.stdout.readline()
        words = self.ready.split()
        assert words[:3] == ["polyhead", "ready", "on"], self._log.read_text()
        self.address = words[3]
        self.urls = dict(zip(words[9::2], words[10::2], strict=True))

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def call(self) -> pb.AnnotateResponse:
        """One call over a connection of its own."""
        with grpc.insecure_channel(self.address, OWN_CONNECTION) as channel:
            return AnnotationServiceStub(channel).Annotate(REQUEST, timeout=PATIENCE)

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """What the metrics port tells now."""
        with urllib.request.urlopen(self.urls["metrics"], timeout=PATIENCE) as answer:  # noqa: S310
            page = answer.read().decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        return self.samples().get((name, frozenset(labels.items())), 0.0)

    def pids(self) -> dict[int, int]:
        """The process of each worker, from the system's list of children."""
        listed = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)]
        lines = subprocess.run(listed, capture_output=True, text=True, check=False).stdout
        found = [line.split()[0] for line in lines.splitlines() if "workers.process" in line]
        return dict(enumerate(sorted(map(int, found))))

    def events(self) -> list[dict]:
        """The log so far."""
        return events_of(self._log)

    def stop(self, number: int) -> int:
        """Send a signal and wait for the end; the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        rest, _ = self.process.communicate(timeout=PATIENCE)
        assert rest == ""
        return self.process.returncode

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.communicate(timeout=PATIENCE)


def eventually(condition) -> None:
    """Wait for what other processes do, which has no event of ours."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs, zombies aside."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
