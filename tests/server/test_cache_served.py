"""A server with a cache answers as one without, to the bit, and counts where answers came from."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from background_server import PATIENCE, BackgroundServer, Gate, primary, running, until
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub

ALL = ["sentiment", "entities", "pos", "topic"]
REQUEST = pb.AnnotateRequest(documents=[doc.Document(text="the fans")], tasks=["pos"])


@pytest.fixture(scope="module")
def cached(tiny_bundle):
    server = BackgroundServer(tiny_bundle, cache_mb=1)
    yield server
    server.close()


def counts(server):
    names = ("hits", "misses", "shared")
    read = server.server.metrics.registry.get_sample_value
    return tuple(int(read(f"polyhead_cache_{name}_total")) for name in names)


def document(words, *, split):
    if split:
        return doc.Document(words=doc.WordList(words=words))
    return doc.Document(text="  ".join(words))


WORDS = ["the", "Fans", "in", "word", "😀", "naïve", "x" * 25]
Words = st.lists(st.sampled_from(WORDS), min_size=1)
Documents = st.builds(document, Words | Words.map(lambda words: words * 9), split=st.booleans())


@settings(max_examples=60, deadline=None)
@given(Documents, st.lists(st.sampled_from(ALL), min_size=1, unique=True), st.integers(1, 3))
def test_bit_identical(cached, stub, one, tasks, unit):
    """Whether from the engine or from memory: words, offsets, windows and scores are the same."""
    request = pb.AnnotateRequest(documents=[one], tasks=tasks, offset_unit=unit)
    ask = AnnotationServiceStub(cached.channel).Annotate
    answers = [ask(request), ask(request), stub.Annotate(request)]
    for answer in answers:
        answer.ClearField("timings")
    assert answers[0] == answers[1] == answers[2]


def test_counted(tiny_bundle):
    """Documents are counted by where their results came from, in requests and in streams."""
    server = BackgroundServer(tiny_bundle, cache_mb=1)
    try:
        stub = AnnotationServiceStub(server.channel)
        two = [doc.Document(text="the fans"), doc.Document(text="the fans in")]
        request = pb.AnnotateRequest(documents=two, tasks=["pos", "topic"])
        first = stub.Annotate(request)
        assert counts(server) == (0, 2, 0)
        again = stub.Annotate(request)
        assert counts(server) == (2, 2, 0)
        assert first.timings.encode_seconds > 0 == again.timings.encode_seconds
        stub.Annotate(pb.AnnotateRequest(documents=two, tasks=["entities"]))
        stub.Annotate(pb.AnnotateRequest(documents=two, tasks=ALL[1:]))
        assert counts(server) == (4, 4, 0)
        items = [pb.StreamItem(id=str(n), document=two[0]) for n in range(3)]
        message = pb.AnnotateStreamRequest(items=items, tasks=["pos"])
        (answer,) = stub.AnnotateStream(iter([message]))
        assert all(outcome.HasField("annotation") for outcome in answer.outcomes)
        assert counts(server) == (7, 4, 0)
        assert server.metric("polyhead_cache_entries") == 2
        assert server.metric("polyhead_cache_bytes") > 0
        assert server.metric("polyhead_documents_total") == 11
    finally:
        server.close()


def test_off_unless_asked_for(server, stub):
    """Without the setting nothing is kept or counted, and the metrics are there."""
    for _ in range(2):
        assert stub.Annotate(REQUEST).timings.encode_seconds > 0
    assert counts(server) == (0, 0, 0)


def test_bounded(tiny_bundle):
    """However many texts come, memory stays within the setting."""
    server = BackgroundServer(tiny_bundle, cache_mb=1)
    try:
        stub = AnnotationServiceStub(server.channel)
        for start in range(0, 1500, 500):
            texts = [f"the {number}" for number in range(start, start + 500)]
            documents = [doc.Document(text=text) for text in texts]
            stub.Annotate(pb.AnnotateRequest(documents=documents, tasks=ALL))
        assert 0 < server.metric("polyhead_cache_bytes") <= 1 << 20
        kept = server.metric("polyhead_cache_entries")
        assert kept + server.metric("polyhead_cache_evictions_total") == 1500
        assert kept < 1500
    finally:
        server.close()


async def test_cancelled_call_fails_nobody(tiny_bundle):
    """Calls that share a run get their answer though the one that began it went away."""
    async with running(tiny_bundle, cache_mb=1) as (server, stub):
        gate = Gate(server)
        other = pb.AnnotateRequest(documents=[doc.Document(text="in")], tasks=["pos"])
        busy = asyncio.ensure_future(stub.Annotate(other, timeout=PATIENCE))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        first = stub.Annotate(REQUEST, timeout=PATIENCE)
        started = asyncio.ensure_future(first)
        await until(lambda: primary(server).batcher.waiting_items == 1)
        rest = [asyncio.ensure_future(stub.Annotate(REQUEST, timeout=PATIENCE)) for _ in range(3)]
        await until(lambda: server._calls._under_way == 5)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await started
        await until(lambda: server._calls._under_way == 4)
        gate.open()
        answers = await asyncio.gather(*rest)
        await busy
        assert len({answer.annotations[0].SerializeToString() for answer in answers}) == 1


async def test_drain(tiny_bundle):
    """A drain answers everybody who shares a run that is under way."""
    async with running(tiny_bundle, cache_mb=1) as (server, stub):
        gate = Gate(server)
        calls = [asyncio.ensure_future(stub.Annotate(REQUEST, timeout=PATIENCE)) for _ in range(4)]
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        await until(lambda: server._calls._under_way == 4)
        stopping = asyncio.create_task(server.stop())
        gate.open()
        answers = await asyncio.gather(*calls)
        assert await stopping is True
        assert all(answer.annotations for answer in answers)


async def test_engine_failure_is_not_kept(tiny_bundle):
    """All who wait on a run that fails are told INTERNAL, and the text can be asked for again."""
    async with running(tiny_bundle, cache_mb=1) as (server, stub):
        threads = primary(server).batcher._threads
        sound = threads._encode

        def broken(jobs):
            raise ValueError("broken")

        threads._encode = broken
        calls = [stub.Annotate(REQUEST, timeout=PATIENCE) for _ in range(5)]
        ends = await asyncio.gather(*map(asyncio.ensure_future, calls), return_exceptions=True)
        assert {end.code() for end in ends} == {grpc.StatusCode.INTERNAL}
        threads._encode = sound
        assert (await stub.Annotate(REQUEST, timeout=PATIENCE)).annotations
