"""A server process under trial: started, asked, looked at, ended by its number."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from tests.bench.processes import family, usage

if TYPE_CHECKING:
    from collections.abc import Callable

OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)
REQUEST = pb.AnnotateRequest(documents=[doc.Document(text="the fans in the word")], tasks=["*"])
PATIENCE = 30.0
_MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Held:
    """What a server and its workers hold."""

    mebibytes: float
    threads: int
    files: int


class Server:
    """A process that serves, ready when made. Ended with the `with` that it is used in.

    Args:
        bundle: what it serves.
        folder: where its log goes.
        flags: what else it is told.
        environment: variables beside ours.
        log: where its log goes instead.
    """

    def __init__(
        self,
        bundle: Path,
        folder: Path,
        *flags: str,
        environment: dict[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.log = log or folder / "log"
        ports = ["--port=0", "--metrics-port=0", "--threads=1"]
        command = [sys.executable, "-m", "polyhead_server", "serve", *ports, *flags]
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                [*command, "--bundle", str(bundle)],
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                env={**os.environ, **(environment or {})},
            )
        words = self._first_line().split()
        if words[:3] != ["polyhead", "ready", "on"]:
            self.close()
            raise RuntimeError(f"the server did not start: {self.logged()[-2000:]}")
        self.address = words[3]
        self.urls = dict(zip(words[9::2], words[10::2], strict=True))

    def _first_line(self) -> str:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], 2 * PATIENCE)
        return self.process.stdout.readline() if readable else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def place(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition(":")
        return host, int(port)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def held(self) -> Held:
        now = usage(self.pid)
        return Held(round(now.resident / _MEBIBYTE, 1), now.threads, now.files)

    def call(self, timeout: float = PATIENCE) -> str:
        """One call on a connection of its own, without retries: its status."""
        with grpc.insecure_channel(self.address, OWN_CONNECTION) as channel:
            try:
                AnnotationServiceStub(channel).Annotate(REQUEST, timeout=timeout)
            except grpc.RpcError as error:
                return str(error.code().name)
        return "OK"

    def press(self, calls: int) -> None:
        """So many calls at the same time, however they end."""
        with grpc.insecure_channel(self.address, OWN_CONNECTION) as channel:
            annotate = AnnotationServiceStub(channel).Annotate
            for call in [annotate.future(REQUEST, timeout=PATIENCE) for _ in range(calls)]:
                call.exception()

    def health(self, name: str = "") -> str:
        with grpc.insecure_channel(self.address, OWN_CONNECTION) as channel:
            request = health_pb2.HealthCheckRequest(service=name)
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    def get(self, path: str) -> int:
        """The status of a path on the metrics port."""
        url = self.urls["metrics"].replace("/metrics", path)
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return int(error.code)

    def metric(self, name: str, **labels: str) -> float:
        with urllib.request.urlopen(self.urls["metrics"], timeout=PATIENCE) as answer:  # noqa: S310
            page = answer.read().decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def workers(self) -> list[int]:
        """Numbers of the worker processes."""
        return [pid for pid in family(self.pid) if pid != self.pid and _is_worker(pid)]

    def logged(self) -> str:
        """The log so far; a device has none that ends."""
        return self.log.read_text(errors="replace") if self.log.is_file() else ""

    def events(self, name: str) -> list[dict]:
        lines = self.logged().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in found if event.get("event") == name]

    def close(self) -> None:
        if self.alive:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
        if self.alive:
            self.process.kill()
        self.process.communicate(timeout=PATIENCE)


def _is_worker(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"workers.process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def seconds_until(condition: Callable[[], bool], limit: float = PATIENCE) -> float:
    """How long it takes until something is so; more than the limit where it never is."""
    start = time.monotonic()
    while time.monotonic() - start < limit:
        if condition():
            return time.monotonic() - start
        time.sleep(0.02)
    return time.monotonic() - start
