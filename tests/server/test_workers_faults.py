"""Workers that die, that cannot start, and that are drained: no call is lost."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from background_server import PATIENCE
from gateway_processes import COMMAND
from worker_server import OWN_CONNECTION, WorkerServer, arguments, eventually

import polyhead
from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub

CLIENTS = 6


@pytest.fixture
def served(tiny_bundle, tmp_path):
    flags = ("--max-documents=100000", "--queue-tokens=10000000", "--drain-seconds=15")
    served = WorkerServer(tiny_bundle, tmp_path, *flags)
    yield served
    served.close()


def test_halted(tiny_bundle, tmp_path):
    """A worker that does not answer at all is replaced, as one is whose engine is stuck."""
    served = WorkerServer(tiny_bundle, tmp_path, "--stuck-seconds=4")
    try:
        halted = min(served.pids().values())
        os.kill(halted, signal.SIGSTOP)
        eventually(lambda: halted not in served.pids().values() and len(served.pids()) == 2)
        told = [event for event in served.events() if event["event"] == "worker_stuck"]
        assert [event["pid"] for event in told] == [halted]
    finally:
        served.close()


class Load:
    """Clients that call without a pause until told to stop."""

    def __init__(self, address):
        self._address = address
        self._stop = threading.Event()
        self.begun = threading.Barrier(CLIENTS + 1)
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._results = [self._pool.submit(self._call) for _ in range(CLIENTS)]
        self.begun.wait(PATIENCE)

    def _call(self):
        answered = 0
        with polyhead.Client(self._address) as client:
            while not self._stop.is_set():
                client.annotate("the fans")
                answered += 1
                if answered == 1:
                    self.begun.wait(PATIENCE)
        return answered

    def end(self):
        """Calls that were answered; an error of any of them is raised."""
        self._stop.set()
        with self._pool:
            return sum(result.result(PATIENCE) for result in self._results)


def test_killed_under_load(served):
    """A killed worker is replaced; with the client's retries no call fails, no counter falls."""
    load = Load(served.address)
    before = served.metric("polyhead_documents_total")
    killed = set(served.pids().values())
    os.kill(min(killed), signal.SIGKILL)
    eventually(lambda: served.metric("polyhead_worker_restarts_total") == 1)
    assert served.metric("polyhead_documents_total") >= before > 0
    eventually(lambda: served.metric("polyhead_workers") == 2)
    assert load.end() > 0
    now = set(served.pids().values())
    assert len(now) == 2
    assert min(killed) not in now
    (ended,) = [event for event in served.events() if event["event"] == "worker_ended"]
    assert ended["how"] == "ended by SIGKILL"


def test_drained_worker_is_replaced(served):
    """A worker told to stop finishes first, counts to the last call, and is replaced."""
    for _ in range(10):
        served.call()
    os.kill(min(served.pids().values()), signal.SIGTERM)
    eventually(lambda: served.metric("polyhead_worker_restarts_total") == 1)
    assert served.metric("polyhead_documents_total") == 10
    eventually(lambda: served.metric("polyhead_workers") == 2)


def test_no_files_left(served):
    """Where the system gives no new process, the others go on, and it is tried again."""
    supervisor, limit = served.process.pid, resource.RLIMIT_NOFILE
    before = resource.prlimit(supervisor, limit, (3, resource.getrlimit(limit)[1]))
    os.kill(min(served.pids().values()), signal.SIGKILL)
    eventually(
        lambda: any(event.get("how", "").startswith("not started") for event in served.events())
    )
    assert served.call().annotations
    resource.prlimit(supervisor, limit, before)
    eventually(lambda: served.metric("polyhead_workers") == 2)


def test_drain_under_load(served):
    """SIGTERM lets all workers finish what is under way; status 0, and the port is given up."""
    many = [doc.Document(text="the fans in the word")] * 4_000
    request = pb.AnnotateRequest(documents=many, tasks=["*"])
    channels = [grpc.insecure_channel(served.address, OWN_CONNECTION) for _ in range(CLIENTS)]
    calls = [
        AnnotationServiceStub(channel).Annotate.future(request, timeout=6 * PATIENCE)
        for channel in channels
    ]
    eventually(lambda: served.metric("polyhead_in_flight") == CLIENTS)
    served.process.send_signal(signal.SIGTERM)
    assert [len(call.result().annotations) for call in calls] == [4_000] * CLIENTS
    for channel in channels:
        channel.close()
    assert served.wait() == 0


def test_damaged_bundle(tiny_bundle, tmp_path):
    """What no worker can serve is told as by one process: one line, status 2."""
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_bundle, damaged)
    with (damaged / "encoder.bin").open("r+b") as file:
        file.write(b"\x00\x01\x02\x03")
    run = run_to_end(damaged)
    assert run.returncode == 2
    assert run.stdout == ""
    assert "Traceback" not in run.stderr
    told = [line for line in run.stderr.splitlines() if line.startswith("polyhead-server:")]
    assert told == [
        f"polyhead-server: {damaged}: encoder.bin is damaged: its sha256 is not the manifest's"
    ]


def test_workers_that_crash_at_start(tiny_bundle, tmp_path):
    """Where workers end again and again before they are ready, it is given up with a reason."""
    (tmp_path / "openvino.py").write_text("raise SystemExit(3)\n")
    run = run_to_end(tiny_bundle, PYTHONPATH=str(tmp_path))
    assert run.returncode == 2
    last = run.stderr.splitlines()[-1]
    assert last == "polyhead-server: workers do not start: the last of 5 ended with status 3"


def run_to_end(bundle, **environment):
    return subprocess.run(
        [*COMMAND, *arguments(bundle)],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
        env={**os.environ, **environment},
    )
