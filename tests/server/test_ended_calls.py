"""A call that has ended is forgotten at once, and not when Python next looks for garbage.

As long as it is kept, it has its place among the streams of its connection; when those are used up,
callers are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc

import grpc
import pytest
from background_server import running
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from polyhead.v1.annotation_service_pb2 import AnnotateRequest, AnnotateStreamRequest, StreamItem
from polyhead.v1.document_pb2 import Document

CALLS = 50
PATIENCE = 5.0
REQUEST = AnnotateRequest(documents=[Document(text="the word")], tasks=["*"])
WRONG = AnnotateRequest(documents=[Document(text="the word")], tasks=["nonsense"])


@pytest.fixture(autouse=True)
def _without_garbage_collection():
    gc.disable()
    yield
    gc.enable()


async def answered(stub):
    await stub.Annotate(REQUEST, timeout=PATIENCE)


async def refused(stub):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Annotate(WRONG, timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def cancelled(stub):
    call = stub.Annotate(REQUEST, timeout=PATIENCE)
    await asyncio.sleep(0)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call


async def late(stub):
    with contextlib.suppress(grpc.aio.AioRpcError):
        await stub.Annotate(REQUEST, timeout=0.001)


async def streamed(stub):
    call = stub.AnnotateStream(timeout=PATIENCE)
    for tasks in (["*"], ["nonsense"]):
        item = StreamItem(id="1", document=Document(text="the word"))
        await call.write(AnnotateStreamRequest(items=[item], tasks=tasks))
    await call.done_writing()
    with contextlib.suppress(grpc.aio.AioRpcError):
        async for _ in call:
            pass


async def unknown(stub):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.nothing(b"", timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def unknown_to_health(stub):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.health.Check(HealthCheckRequest(service="nothing"), timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


ENDS = [answered, refused, cancelled, late, streamed, unknown, unknown_to_health]


def kept():
    """Calls that gRPC's server still has, and those that it waits for."""
    return sum(type(one).__name__ == "RPCState" for one in gc.get_objects())


@pytest.mark.parametrize("end", ENDS)
async def test_nothing_is_kept(tiny_bundle, end):
    """However calls end, gRPC has no more of them a moment later than before."""
    async with running(tiny_bundle) as (server, stub):
        where = server.ready.address
        async with grpc.aio.insecure_channel(where) as channel:
            stub.nothing = channel.unary_unary("/polyhead.v1.AnnotationService/Nothing")
            stub.health = HealthStub(channel)
            await answered(stub)
            await asyncio.sleep(0.1)
            before = kept()
            for _ in range(CALLS):
                await end(stub)
            async with asyncio.timeout(PATIENCE):
                while kept() > before:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.05)
