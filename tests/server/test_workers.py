"""Several workers serve one port as one server: calls, metrics, logs, ports."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path

import grpc
import pytest
from background_server import PATIENCE, quiet_settings
from gateway_processes import COMMAND
from worker_server import (
    OWN_CONNECTION,
    REQUEST,
    WorkerServer,
    arguments,
    eventually,
    is_alive,
)

from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server.errors import StartError
from polyhead_server.lifecycle import start_server

CERTS = Path(__file__).parent.parent / "client" / "certs"
CERT, KEY = CERTS / "certificate.pem", CERTS / "key.pem"
ANNOTATE = {
    "grpc_type": "unary",
    "grpc_service": "polyhead.v1.AnnotationService",
    "grpc_method": "Annotate",
}


@pytest.fixture(scope="module")
def served(tiny_bundle, tmp_path_factory):
    """Shared by the tests that leave the workers as they are."""
    folder = tmp_path_factory.mktemp("workers")
    served = WorkerServer(tiny_bundle, folder, "--access-log", "--inference-http-port=0")
    yield served
    served.close()


def test_ready_line(served):
    """There is one line, when all workers are ready, of the form that one process has."""
    assert served.ready == (
        f"polyhead ready on {served.address} bundle tiny 1 heads sentiment,entities,pos,topic "
        f"metrics {served.urls['metrics']} inference {served.urls['inference']}\n"
    )
    assert served.metric("polyhead_workers") == 2


def test_connections_reach_every_worker(served):
    """Connections are spread over the workers, and every log line tells which one wrote it."""
    for _ in range(40):  # all at one worker: once in 2^39
        assert served.call().annotations
    calls = [event for event in served.events() if event["event"] == "call"]
    assert {event["worker"] for event in calls} == {0, 1}
    own = [event for event in served.events() if "worker" not in event]
    assert [event["event"] for event in own] == ["ready"]


def test_metrics_are_sums(served):
    """One port tells what all workers counted, as soon as it is counted."""
    before = served.samples()
    for _ in range(20):
        served.call()
    after = served.samples()

    def more(name, **labels):
        key = (name, frozenset(labels.items()))
        return after[key] - before.get(key, 0.0)

    assert more("grpc_server_handled_total", **ANNOTATE, grpc_code="OK") == 20
    assert more("grpc_server_handling_seconds_count", **ANNOTATE) == 20
    assert more("grpc_server_handling_seconds_bucket", **ANNOTATE, le="+Inf") == 20
    assert more("polyhead_documents_total") == 20


def test_gauges_of_all_workers(served):
    """Gauges are added up, but for those that say what runs; processes are told apart."""
    samples = served.samples()
    assert samples["polyhead_in_flight", frozenset()] == 0
    builds = [value for (name, _), value in samples.items() if name == "polyhead_build_info"]
    assert builds == [1.0]
    memory = [dict(labels) for name, labels in samples if name == "process_resident_memory_bytes"]
    assert sorted(label["worker"] for label in memory) == ["0", "1"]


def test_inference_over_http(served):
    """The port of the Open Inference Protocol is shared as well."""
    for _ in range(10):
        url = f"{served.urls['inference']}/v2/health/ready"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310
            assert json.load(answer) == {"ready": True}


@pytest.mark.parametrize("workers", [1, 2])
def test_taken_port_is_refused(tiny_bundle, served, workers):
    """A second server does not creep in beside the first, be it of one process or several."""
    flags = [*arguments(tiny_bundle, workers=workers), f"--port={served.port}"]
    run = subprocess.run(
        [*COMMAND, *flags], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 2
    assert run.stdout == ""
    (told,) = [line for line in run.stderr.splitlines() if line.startswith("polyhead-server:")]
    assert told == (
        f"polyhead-server: cannot listen on {served.address}: "
        "the port is in use or the address is not ours"
    )


async def test_port_of_one_process_is_refused(tiny_bundle):
    """Workers do not creep in beside a server of one process either."""
    server = await start_server(quiet_settings(tiny_bundle))
    flags = ["--port", server.ready.address.rpartition(":")[2]]
    run = subprocess.run(  # noqa: ASYNC221 - the server has nothing to answer
        [*COMMAND, *arguments(tiny_bundle), *flags], capture_output=True, text=True, check=False
    )
    await server.stop()
    assert run.returncode == 2
    assert "is in use" in run.stderr


async def test_metrics_port_in_use(tiny_bundle, served):
    """A taken metrics port is told like any other."""
    port = int(served.urls["metrics"].split(":")[2].removesuffix("/metrics"))
    with pytest.raises(StartError, match="cannot serve metrics"):
        await start_server(quiet_settings(tiny_bundle, metrics_port=port))
    flags = [*arguments(tiny_bundle), f"--metrics-port={port}"]
    run = subprocess.run(  # noqa: ASYNC221 - likewise
        [*COMMAND, *flags], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert f"polyhead-server: cannot serve metrics on 127.0.0.1:{port}" in run.stderr


def test_tls(tiny_bundle, tmp_path):
    """Every worker has the certificate, on both ports."""
    flags = (f"--tls-cert={CERT}", f"--tls-key={KEY}", "--inference-http-port=0")
    served = WorkerServer(tiny_bundle, tmp_path, *flags)
    trusting = grpc.ssl_channel_credentials(CERT.read_bytes())
    options = (("grpc.ssl_target_name_override", "localhost"), *OWN_CONNECTION)
    for _ in range(8):
        with grpc.secure_channel(served.address, trusting, options) as channel:
            assert AnnotationServiceStub(channel).Annotate(REQUEST, timeout=PATIENCE).annotations
    context = ssl.create_default_context(cafile=CERT)
    context.check_hostname = False
    url = f"{served.urls['inference']}/v2/health/live"
    with urllib.request.urlopen(url, timeout=PATIENCE, context=context) as answer:  # noqa: S310
        assert json.load(answer) == {"live": True}
    assert served.stop(signal.SIGTERM) == 0


def test_lost_supervisor(tiny_bundle, tmp_path):
    """Workers whose supervisor was killed end themselves and leave the port."""
    served = WorkerServer(tiny_bundle, tmp_path)
    pids = served.pids()
    assert len(pids) == 2
    served.close()
    eventually(lambda: not any(map(is_alive, pids.values())))
    with (
        pytest.raises(ConnectionRefusedError),
        socket.create_connection(("127.0.0.1", served.port)),
    ):
        pass
    stopped = [event for event in served.events() if event["event"] == "stopped"]
    assert [event["drained"] for event in stopped] == [True, True]


def test_second_signal(tiny_bundle, tmp_path):
    """The second signal ends supervisor and workers at once, with the status of that signal."""
    served = WorkerServer(tiny_bundle, tmp_path)
    pids = served.pids()
    os.kill(pids[0], signal.SIGSTOP)  # so that it is not drained before the second signal
    served.process.send_signal(signal.SIGTERM)
    eventually(lambda: "draining" in [event["event"] for event in served.events()])
    assert served.stop(signal.SIGINT) == 128 + signal.SIGINT
    eventually(lambda: not any(map(is_alive, pids.values())))
