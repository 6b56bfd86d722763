"""AnnotateStream from its beginning to its end: flow control, cancellation, drain, faults."""

from __future__ import annotations

import asyncio

import grpc
import structlog
from background_server import PATIENCE, SERVICE, Gate, primary, running, until

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc


def item(name, text="the fans won"):
    return pb.StreamItem(id=name, document=doc.Document(text=text))


def message(*items):
    return pb.AnnotateStreamRequest(items=items, tasks=["pos"])


def received(server):
    labels = {
        "grpc_type": "bidi_stream",
        "grpc_service": SERVICE,
        "grpc_method": "AnnotateStream",
    }
    name = "grpc_server_msg_received_total"
    return server.metrics.registry.get_sample_value(name, labels) or 0


async def test_answers_before_the_end(tiny_bundle):
    """Everything read before a message that ends the stream is answered before the end."""
    async with running(tiny_bundle) as (_, stub):
        call = stub.AnnotateStream(timeout=PATIENCE)
        for n in range(5):
            await call.write(message(item(str(n))))
        await call.write(pb.AnnotateStreamRequest())
        answers = [await call.read() for _ in range(5)]
        assert sorted(answer.outcomes[0].id for answer in answers) == list("01234")
        assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_reading_stops_while_enough_is_held(tiny_bundle):
    """The server reads no more messages than it may hold items."""
    async with running(tiny_bundle, stream_items=3) as (server, stub):
        gate = Gate(server)
        call = stub.AnnotateStream(timeout=PATIENCE)
        for n in range(6):
            await call.write(message(item(str(n))))
        await call.done_writing()
        await until(lambda: received(server) >= 3)
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        assert received(server) == 3
        gate.open()
        answers = [answer async for answer in call]
        assert len(answers) == 6
        assert received(server) == 6


async def test_cancelled_stream_stops_its_work(tiny_bundle):
    """A stream that is given up leaves nothing waiting, and the next call is answered."""
    async with running(tiny_bundle, batch_tokens=1) as (server, stub):
        gate = Gate(server)
        call = stub.AnnotateStream(timeout=PATIENCE)
        await call.write(message(*(item(str(n)) for n in range(20))))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        assert primary(server).batcher.waiting_tokens > 0
        call.cancel()
        await until(lambda: primary(server).batcher.waiting_tokens == 0)
        gate.open()
        single = pb.AnnotateRequest(documents=[doc.Document(text="the fans")], tasks=["pos"])
        assert (await stub.Annotate(single, timeout=PATIENCE)).annotations
        await until(lambda: server._calls._under_way == 0)


async def test_drain_answers_what_was_read_and_ends_the_stream(tiny_bundle):
    """A stream in a drain has its messages answered, then ends with UNAVAILABLE."""
    async with running(tiny_bundle) as (server, stub):
        gate = Gate(server)
        call = stub.AnnotateStream(timeout=PATIENCE)
        await call.write(message(item("a")))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        server._calls.drain()
        gate.open()
        assert (await call.read()).outcomes[0].WhichOneof("outcome") == "annotation"
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_quiet_stream_does_not_hold_a_drain_up(tiny_bundle):
    """A stream on which nothing happens ends at once when draining begins."""
    async with running(tiny_bundle) as (server, stub):
        call = stub.AnnotateStream(timeout=PATIENCE)
        await call.write(message(item("a")))
        await call.read()
        assert await server.stop() is True
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_poison_item_fails_alone(tiny_bundle):
    """Where the engine fails on one item of a message, the others are annotated."""
    async with running(tiny_bundle) as (server, stub):
        worker = primary(server).batcher._threads
        run = worker._encode
        poison = primary(server).model.tokenize("poison poison poison").tokens + 2

        def fail_on_poison(jobs):
            if any(job.tokens == poison for job in jobs):
                raise ValueError("secret")
            return run(jobs)

        worker._encode = fail_on_poison
        call = stub.AnnotateStream(timeout=PATIENCE)
        await call.write(message(item("a"), item("bad", "poison poison poison"), item("b")))
        await call.done_writing()
        with structlog.testing.capture_logs() as logs:
            outcomes = (await call.read()).outcomes
        assert [log for log in logs if log["event"] == "internal_error"]
        kinds = [outcome.WhichOneof("outcome") for outcome in outcomes]
        assert kinds == ["annotation", "error", "annotation"]
        assert outcomes[1].error.code == grpc.StatusCode.INTERNAL.value[0]
        assert outcomes[1].error.message == "internal error"
