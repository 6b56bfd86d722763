"""An engine that is closed: who comes later is told, and who never comes back is left behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading

import grpc
import pytest
import structlog
from background_server import quiet_settings, until
from rollout_load import REQUEST
from tiny_bundle import HIDDEN

from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server import openvino_engine
from polyhead_server.engine import EngineOptions
from polyhead_server.lifecycle import start_server
from polyhead_server.model import Model
from polyhead_server.openvino_engine import OpenVinoEngine
from polyhead_server.packing import pack
from polyhead_server.rollout.cores import Cores, SharedEngine
from polyhead_server.warming import Warming


@pytest.fixture
def batch(tiny_bundle):
    model = Model.load(tiny_bundle, threads=1)
    yield pack([model.tokenize("one two three").windows[0]])
    model.close()


def opened(bundle, streams: int = 1) -> OpenVinoEngine:
    options = EngineOptions(threads=streams, streams=streams)
    return OpenVinoEngine(bundle / "encoder.xml", options, hidden_size=HIDDEN)


def test_a_turn_is_given_back(tiny_bundle, batch):
    """One that waited for its turn while its engine was closed does not keep the turn."""
    cores = Cores(1)
    going, staying = (SharedEngine(opened(tiny_bundle), cores) for _ in range(2))
    cores.take()
    failed = []

    def late() -> None:
        try:
            going.infer(batch)
        except RuntimeError as error:
            failed.append(str(error))

    thread = threading.Thread(target=late, daemon=True)
    thread.start()
    while not cores._line:
        pass
    going.close()
    cores.give()
    thread.join(10)
    assert failed == ["the engine is closed"]
    after = threading.Thread(target=staying.infer, args=(batch,), daemon=True)
    after.start()
    after.join(10)
    assert not after.is_alive()
    staying.close()


class _FailsInOne:
    """Fails for the thread that warms, and takes a while for the others."""

    streams = 3

    def __init__(self) -> None:
        self.main = threading.get_ident()
        self.done = 0

    def infer(self, _):
        if threading.get_ident() == self.main:
            raise MemoryError
        threading.Event().wait(0.2)
        self.done += 1


def test_warming_that_fails_waits_for_its_threads(batch):
    """Nobody closes an engine that they are still in."""
    engine = _FailsInOne()
    with pytest.raises(MemoryError):
        Warming(engine, [batch]).run(1.0)
    assert engine.done == 2


async def test_a_server_stops_though_its_engine_does_not_come_back(tiny_bundle, monkeypatch):
    """Its thread is left behind, and what it holds."""
    run_batch = openvino_engine.run_batch
    hang, let_go = threading.Event(), threading.Event()

    def run(*arguments):
        if hang.is_set():
            let_go.wait()
        return run_batch(*arguments)

    monkeypatch.setattr(openvino_engine, "run_batch", run)
    monkeypatch.setattr("polyhead_server.batcher._JOIN_SECONDS", 0.2)
    server = await start_server(quiet_settings(tiny_bundle, drain_seconds=0.2, warm_seconds=60.0))
    await until(lambda: not server._bundles.roster.primary.model._warming.left)
    try:
        async with grpc.aio.insecure_channel(server.ready.address) as channel:
            hang.set()
            call = AnnotationServiceStub(channel).Annotate(REQUEST)
            runs = server._bundles.runs
            await until(lambda: runs.under_way)
            with structlog.testing.capture_logs() as logs:
                drained = await asyncio.wait_for(server.stop(), 15)
            with pytest.raises(grpc.RpcError):
                await call
    finally:
        let_go.set()
    assert not drained
    assert [one["event"] for one in logs].count("engine_left_behind") == 1


_HANGS = """
import sys, threading
from polyhead_server import cli, openvino_engine
run_batch = openvino_engine.run_batch
hang = threading.Event()
def run(*arguments):
    if hang.is_set():
        threading.Event().wait()
    return run_batch(*arguments)
openvino_engine.run_batch = run
threading.Thread(target=lambda: (sys.stdin.readline(), hang.set()), daemon=True).start()
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_process_ends_though_its_engine_does_not_come_back(tiny_bundle):
    """On one SIGTERM, with the status of a drain that did not finish."""
    flags = ["--port=0", "--metrics-port=-1", "--drain-seconds=0.5", f"--bundle={tiny_bundle}"]
    command = [sys.executable, "-c", _HANGS, "serve", *flags]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            address = process.stdout.readline().split()[3]
            process.stdin.write("hang\n")
            process.stdin.flush()
            with grpc.insecure_channel(address) as channel:
                call = AnnotationServiceStub(channel).Annotate.future(REQUEST)
                with pytest.raises(grpc.FutureTimeoutError):
                    call.result(1)
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 1
                assert call.exception() is not None
        finally:
            process.kill()
