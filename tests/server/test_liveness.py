"""A stuck engine is found, told to whoever asks, and forgiven once it goes on."""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request

import grpc
import pytest
from background_server import PATIENCE, SERVICE, Gate, primary, running, until
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead_server.liveness import Liveness, Runs
from polyhead_server.liveness_health import health_names

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
REQUEST = pb.AnnotateRequest(documents=[doc.Document(text="the fans")], tasks=["pos"])


def test_runs():
    """A run lasts from the call to the end of what it gave, also where either raises."""
    runs = Runs()
    assert runs.longest(5.0) == 0.0
    finish = runs.around(lambda items: lambda: items)(["a"])
    assert runs.under_way == 1
    assert finish() == ["a"]
    with pytest.raises(ZeroDivisionError):
        runs.around(lambda items: 1 / 0)(["a"])
    broken = runs.around(lambda items: lambda: 1 / 0)(["a"])
    with pytest.raises(ZeroDivisionError):
        broken()
    assert runs.under_way == 0
    assert runs.begun == 3


def test_longest_run_counts():
    """Of several runs at a time the oldest is the one that may be stuck."""
    runs = Runs()
    first = runs.around(lambda items: lambda: items)(["a"])
    seen = []
    other = threading.Thread(target=lambda: seen.append(runs.around(lambda i: lambda: i)(["b"])))
    other.start()
    other.join()
    now = max(runs._since.values())
    assert runs.longest(now + 10) >= 10
    first()
    assert runs.longest(now + 10) == 10


def test_stuck_and_on_again():
    """It is logged once when a run has lasted too long, and once when it has ended."""
    runs = Runs()
    liveness = Liveness(runs, lambda: 0, 2.0)
    finish = runs.around(lambda items: lambda: items)(["a"])
    (begun,) = runs._since.values()
    with capture_logs() as logs:
        for seconds in (1.0, 3.0, 4.0):
            liveness.look(begun + seconds)
        assert not liveness.alive
        finish()
        liveness.look(begun + 5.0)
    assert liveness.alive
    assert [line["event"] for line in logs] == ["engine_stuck", "engine_goes_on"]
    assert logs[0]["log_level"] == "error"


def test_work_that_nobody_takes_up():
    """Where work waits and no run begins, the engine's threads are gone; to wait anew is fine."""
    waiting = 0
    liveness = Liveness(Runs(), lambda: waiting, 2.0)
    liveness.look(100.0)
    liveness.look(200.0)
    waiting = 3
    liveness.look(201.0)
    assert not liveness.stuck
    liveness.look(204.0)
    assert liveness.stuck
    waiting = 0
    liveness.look(205.0)
    assert not liveness.stuck


def test_no_limit():
    """0 lets a run take any time."""
    runs = Runs()
    liveness = Liveness(runs, lambda: 0, 0.0)
    runs.around(lambda items: lambda: items)(["a"])
    liveness.look(1e12)
    assert liveness.alive


def test_names():
    """Readiness has a name for each head; a process that is not alive is not ready either."""
    names = health_names({"S": ("a", "b")}, ready=True, alive=True)
    assert names == dict.fromkeys(["liveness", "", "S", "S/a", "S/b"], True)
    stuck = health_names({"S": ("a",)}, ready=True, alive=False)
    assert not any(stuck.values())
    draining = health_names({"S": ("a",)}, ready=False, alive=True)
    assert draining == {"liveness": True, "": False, "S": False, "S/a": False}


async def test_stuck_server(tiny_bundle):
    """Health by gRPC and HTTP, and the metric, say that the engine is stuck, and take it back."""
    settings = {"metrics_port": 0, "stuck_seconds": 0.1, "inference_http_port": 0}
    async with (
        running(tiny_bundle, **settings) as (server, stub),
        grpc.aio.insecure_channel(server.ready.address) as channel,
    ):
        health = health_pb2_grpc.HealthStub(channel)

        async def signs():
            names = ("liveness", "", SERVICE, f"{SERVICE}/pos")
            asked = [await health.Check(health_pb2.HealthCheckRequest(service=n)) for n in names]
            http = [await get(server, path) for path in ("livez", "readyz", "readyz/pos")]
            http += [await ask(server, path) for path in ("health/ready", "models/pos/ready")]
            stuck = server.metrics.registry.get_sample_value("polyhead_engine_stuck")
            return {one.status for one in asked}, http, stuck

        watch = health.Watch(health_pb2.HealthCheckRequest(service="liveness"))
        assert (await watch.read()).status == SERVING
        assert await signs() == ({SERVING}, [200] * 5, 0.0)
        may_go = threading.Event()
        engine, infer = (
            primary(server).model.engine,
            primary(server).model.engine.infer,
        )
        engine.infer = lambda batch: infer(batch) if may_go.wait(PATIENCE) else None
        call = asyncio.ensure_future(stub.Annotate(REQUEST, timeout=PATIENCE))
        assert (await watch.read()).status == NOT_SERVING
        assert await signs() == ({NOT_SERVING}, [503] * 5, 1.0)
        may_go.set()
        assert (await watch.read()).status == SERVING
        assert await signs() == ({SERVING}, [200] * 5, 0.0)
        assert (await call).annotations
        assert await get(server, "readyz/other") == 404
        assert await get(server, "livezz") == 200  # all else is the metrics'
        watch.cancel()


async def test_drain_is_not_dying(tiny_bundle):
    """While a server drains it is not ready, but alive: nobody shall end it before its time."""
    async with running(tiny_bundle, metrics_port=0) as (server, stub):
        gate = Gate(server)
        call = asyncio.ensure_future(stub.Annotate(REQUEST, timeout=PATIENCE))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        stopping = asyncio.create_task(server.stop())
        await until(lambda: not server._serving)
        assert await get(server, "livez") == 200
        assert await get(server, "readyz") == 503
        gate.open()
        assert (await call).annotations
        assert await stopping


async def test_one_watcher_leaves(tiny_bundle):
    """Watchers do not depend on each other."""
    async with running(tiny_bundle) as (server, _):
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        async with (
            grpc.aio.insecure_channel(server.ready.address) as one,
            grpc.aio.insecure_channel(server.ready.address) as other,
        ):
            leaving = health_pb2_grpc.HealthStub(one).Watch(request)
            staying = health_pb2_grpc.HealthStub(other).Watch(request)
            assert (await leaving.read()).status == SERVING
            assert (await staying.read()).status == SERVING
            leaving.cancel()
            server._tell_health(serving=False)
            assert (await staying.read()).status == NOT_SERVING
            staying.cancel()


async def ask(server, path):
    """The status of a path of the Open Inference Protocol."""
    return await status(f"{server.ready.inference}/v2/{path}")


async def get(server, path):
    """The status of a path on the metrics port."""
    return await status(server.ready.metrics.replace("metrics", path))


async def status(url):
    """The status of a URL."""

    def ask():
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    return await asyncio.to_thread(ask)
