"""A real server on free ports, in a thread of its own, for tests with blocking clients."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server.lifecycle import start_server
from polyhead_server.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = "polyhead.v1.AnnotationService"
PATIENCE = 20.0


def primary(server):
    """What runs and queues the bundle that a server serves to most callers."""
    return server._bundles.roster.primary


class BackgroundServer:
    """Runs a server until closed."""

    def __init__(self, bundle: Path, **settings: object) -> None:
        self.settings = quiet_settings(bundle, **settings)
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        assert self._started.wait(PATIENCE)
        self.ready = self.server.ready
        self.channel = grpc.insecure_channel(self.ready.address)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.server = await start_server(self.settings)
        self._started.set()
        await self._stop.wait()
        await self.server.stop()

    def raw(self, method: str):
        """A unary method that takes and gives bytes."""
        call = self.channel.unary_unary(f"/{SERVICE}/{method}")
        return lambda data, **options: call(data, timeout=PATIENCE, **options)

    def raw_stream(self, method: str):
        """A streaming method that takes and gives bytes."""
        call = self.channel.stream_stream(f"/{SERVICE}/{method}")
        return lambda messages: call(iter(messages), timeout=PATIENCE)

    def metric(self, name: str, **labels: str) -> float:
        return self.server.metrics.registry.get_sample_value(name, labels) or 0.0

    def close(self) -> None:
        self.channel.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


def quiet_settings(bundle: Path, **settings: object) -> Settings:
    """Free ports, one thread."""
    values = {"port": 0, "metrics_port": -1, "threads": 1, "bundle": bundle, "drain_seconds": 5.0}
    return Settings(**(values | settings))


def details(error: grpc.RpcError) -> dict[type, object]:
    """The google.rpc details of a failed call, by type."""
    trailers = dict(tuple(error.trailing_metadata()))
    return unpacked(Status.FromString(trailers["grpc-status-details-bin"]))


def unpacked(status: Status) -> dict[type, object]:
    found = {}
    for packed in status.details:
        for kind in (BadRequest, ErrorInfo, RequestInfo, RetryInfo):
            if packed.Is(kind.DESCRIPTOR):
                found[kind] = kind()
                packed.Unpack(found[kind])
    return found


def fields(error: grpc.RpcError) -> list[str]:
    """The fields that a failed call is blamed on."""
    return [violation.field for violation in details(error)[BadRequest].field_violations]


class Gate:
    """Holds the engine of a running server up until opened."""

    def __init__(self, server) -> None:
        threads = primary(server).batcher._threads
        self._encode = threads._encode
        self._passes = threading.Event()
        self.entered = threading.Event()
        threads._encode = self._wait

    def _wait(self, jobs):
        self.entered.set()
        assert self._passes.wait(PATIENCE)
        return self._encode(jobs)

    def open(self) -> None:
        self._passes.set()


async def until(condition) -> None:
    """Let the event loop work until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what other threads and processes do has no event
            await asyncio.sleep(0)


async def begun(server) -> None:
    """Wait until one call is under way."""
    await until(lambda: server._calls._under_way == 1)


@contextlib.asynccontextmanager
async def running(bundle: Path, **settings: object):
    """A server in this event loop, and a stub for it."""
    server = await start_server(quiet_settings(bundle, **settings))
    try:
        async with grpc.aio.insecure_channel(server.ready.address) as channel:
            yield server, AnnotationServiceStub(channel)
    finally:
        await server.stop()
