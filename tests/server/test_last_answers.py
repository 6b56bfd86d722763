"""What is answered while a server shuts down arrives, however slow the line is."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from background_server import PATIENCE, begun, running, until
from door import Door

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub

MANY = 4_000
DOCUMENT = doc.Document(text="the fans in the word")


@pytest.fixture
async def server(tiny_bundle):
    large = {"max_documents": MANY, "queue_tokens": 10_000_000, "drain_seconds": PATIENCE}
    async with running(tiny_bundle, **large) as (server, _):
        yield server


@pytest.fixture
def link(server):
    door = Door(int(server.ready.address.rpartition(":")[2]), pause=0.002)
    yield f"127.0.0.1:{door.port}"
    door.close()


async def test_large_answer(server, link):
    """An answer of megabytes is whole, and the server waits until it was taken."""
    request = pb.AnnotateRequest(documents=[DOCUMENT] * MANY, tasks=["*"])
    async with grpc.aio.insecure_channel(link) as channel:
        call = AnnotationServiceStub(channel).Annotate(request, timeout=PATIENCE)
        asking = asyncio.ensure_future(call)
        await begun(server)
        drained = await server.stop()
        answer = await asking
        assert answer.ByteSize() > 1_000_000
        assert len(answer.annotations) == MANY
        assert drained
        assert (await call.trailing_metadata())["x-request-id"]


async def test_asked_while_going(server, link):
    """Who asks before connections are told to ask no more has an answer, too, and it is whole."""
    request = pb.AnnotateRequest(documents=[DOCUMENT] * MANY, tasks=["*"])
    async with grpc.aio.insecure_channel(link) as channel:
        annotate = AnnotationServiceStub(channel).Annotate
        first = asyncio.ensure_future(annotate(request, timeout=PATIENCE))
        await begun(server)
        stopping = asyncio.create_task(server.stop())
        await until(lambda: server._calls.departure.begun)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await annotate(pb.AnnotateRequest(), timeout=PATIENCE)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert refused.value.trailing_metadata()["x-request-id"]
        second = annotate(request, timeout=PATIENCE)
        answers = await asyncio.gather(first, second)
        assert [len(answer.annotations) for answer in answers] == [MANY] * 2
        assert (await second.trailing_metadata())["x-request-id"]
        assert await stopping


async def test_stream(server, link):
    """So are the answers of a stream, which then ends as one that was drained."""
    items = [pb.StreamItem(id=str(n), document=DOCUMENT) for n in range(MANY)]
    request = pb.AnnotateStreamRequest(items=items, tasks=["*"])
    async with grpc.aio.insecure_channel(link) as channel:
        call = AnnotationServiceStub(channel).AnnotateStream(timeout=PATIENCE)
        await call.write(request)
        await until(lambda: server._bundles.roster.waiting_items > 0)
        stopping = asyncio.create_task(server.stop())
        answer = await call.read()
        assert len(answer.outcomes) == MANY
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call.read()
        assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "shutting down" in ended.value.details()
        assert await stopping
