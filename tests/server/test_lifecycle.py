"""A server starts in order, says so, and stops in order without losing a call."""

from __future__ import annotations

import asyncio
import urllib.request

import grpc
import pytest
from background_server import PATIENCE, SERVICE, Gate, primary, quiet_settings, running, until
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead_server.errors import BundleError, StartError
from polyhead_server.lifecycle import start_server

REQUEST = pb.AnnotateRequest(documents=[doc.Document(text="the fans")], tasks=["pos"])


async def health(channel, service):
    stub = health_pb2_grpc.HealthStub(channel)
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


async def test_ready_line(tiny_bundle):
    """The ready line tells address, bundle, heads and metrics."""
    server = await start_server(quiet_settings(tiny_bundle, metrics_port=0))
    port = server.ready.address.rpartition(":")[2]
    assert int(port) > 0
    assert str(server.ready) == (
        f"polyhead ready on 127.0.0.1:{port} bundle tiny 1 "
        f"heads sentiment,entities,pos,topic metrics {server.ready.metrics}"
    )
    await server.stop()


async def test_metrics_port(tiny_bundle):
    """The metrics are served over HTTP until the server stops."""
    server = await start_server(quiet_settings(tiny_bundle, metrics_port=0))

    def scrape():
        with urllib.request.urlopen(server.ready.metrics, timeout=PATIENCE) as answer:  # noqa: S310
            return answer.read().decode()

    page = await asyncio.to_thread(scrape)
    assert 'polyhead_build_info{bundle="tiny",bundle_version="1",version="0.1.0"} 1.0' in page
    assert "polyhead_queue_tokens 0.0" in page
    await server.stop()
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(scrape)


async def test_health_by_service(tiny_bundle):
    """The server as a whole and the service are SERVING; an unknown service is NOT_FOUND."""
    async with (
        running(tiny_bundle) as (server, _),
        grpc.aio.insecure_channel(server.ready.address) as channel,
    ):
        for service in ("", SERVICE):
            assert await health(channel, service) == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as caught:
            await health(channel, "polyhead.v1.Other")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_lists_the_services(tiny_bundle):
    """Tools can find the services and their messages by reflection."""
    async with (
        running(tiny_bundle) as (server, _),
        grpc.aio.insecure_channel(server.ready.address) as channel,
    ):
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        answer = await call.read()
        names = [service.name for service in answer.list_services_response.service]
        assert {SERVICE, "grpc.health.v1.Health"} <= set(names)
        await call.done_writing()


async def busy(server, stub, waiting):
    """Calls of which the first is in the engine, held up by a gate, and so many others wait."""
    gate = Gate(server)
    calls = [asyncio.ensure_future(stub.Annotate(REQUEST, timeout=PATIENCE))]
    await asyncio.to_thread(gate.entered.wait, PATIENCE)
    more = [stub.Annotate(REQUEST, timeout=PATIENCE) for _ in range(waiting)]
    calls += map(asyncio.ensure_future, more)
    await until(lambda: primary(server).batcher.waiting_items == waiting)
    return gate, calls


async def test_drain_in_order(tiny_bundle):
    """Health says NOT_SERVING first, calls under way are answered, and the drain is complete."""
    async with (
        running(tiny_bundle) as (server, stub),
        grpc.aio.insecure_channel(server.ready.address) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service=SERVICE)
        )
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        gate, calls = await busy(server, stub, waiting=19)
        stopping = asyncio.create_task(server.stop())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        gate.open()
        answers = await asyncio.gather(*calls)
        assert await stopping is True
    assert all(answer.annotations for answer in answers)


async def test_drain_has_a_limit(tiny_bundle):
    """Calls that do not finish in time are told UNAVAILABLE, so that they go elsewhere."""
    async with running(tiny_bundle, drain_seconds=0.05) as (server, stub):
        gate, calls = await busy(server, stub, waiting=1)
        stopping = asyncio.create_task(server.stop())
        for call in calls:
            with pytest.raises(grpc.RpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        gate.open()
        assert await stopping is False


async def test_port_in_use(tiny_bundle):
    """A second server on a taken port fails clearly instead of sharing it."""
    server = await start_server(quiet_settings(tiny_bundle, metrics_port=0))
    port = int(server.ready.address.rpartition(":")[2])
    with pytest.raises(StartError, match=f"127.0.0.1:{port}.*in use"):
        await start_server(quiet_settings(tiny_bundle, port=port))
    metrics_port = int(server.ready.metrics.split(":")[2].removesuffix("/metrics"))
    with pytest.raises(StartError, match="metrics"):
        await start_server(quiet_settings(tiny_bundle, metrics_port=metrics_port))
    await server.stop()


async def test_no_bundle(tmp_path):
    """A folder without a bundle is a BundleError, and everything opened before is closed."""
    with pytest.raises(BundleError):
        await start_server(quiet_settings(tmp_path, metrics_port=0))
