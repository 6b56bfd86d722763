"""The service over a real connection: overload, cancellation, deadlines, faults, metrics, logs."""

from __future__ import annotations

import asyncio

import grpc
import pytest
import structlog
from background_server import PATIENCE, SERVICE, Gate, details, fields, primary, running, until
from google.rpc.error_details_pb2 import RequestInfo, RetryInfo

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead_server.schedule import Priority


def request(text="the fans won", tasks=("pos",)):
    return pb.AnnotateRequest(documents=[doc.Document(text=text)], tasks=tasks)


def handled(server, code, method="Annotate", kind="unary"):
    labels = {"grpc_type": kind, "grpc_service": SERVICE, "grpc_method": method, "grpc_code": code}
    return server.metrics.registry.get_sample_value("grpc_server_handled_total", labels) or 0


def value(server, name, **labels):
    return server.metrics.registry.get_sample_value(name, labels)


async def engine_busy(gate, stub):
    """Bring the engine into a run that waits at the gate."""
    call = asyncio.ensure_future(stub.Annotate(request("busy"), timeout=PATIENCE))
    await asyncio.to_thread(gate.entered.wait, PATIENCE)
    return call


async def status_of(call):
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value


async def test_full_queue_is_refused_at_once_with_retry_info(tiny_bundle):
    """RESOURCE_EXHAUSTED with RetryInfo while the engine is busy; nothing else is disturbed."""
    async with running(tiny_bundle, queue_tokens=1) as (server, stub):
        gate = Gate(server)
        calls = [await engine_busy(gate, stub)]
        calls.append(asyncio.ensure_future(stub.Annotate(request("waits"), timeout=PATIENCE)))
        await until(lambda: primary(server).batcher.waiting_tokens > 0)
        error = await status_of(stub.Annotate(request("refused"), timeout=PATIENCE))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        delay = details(error)[RetryInfo].retry_delay
        assert 0 < delay.seconds + delay.nanos / 1e9 <= 30
        gate.open()
        assert len(await asyncio.gather(*calls)) == 2
        assert value(server, "polyhead_shed_total", reason="queue_full") == 1


async def test_a_deadline_that_cannot_be_met_is_refused_at_once(tiny_bundle):
    """RESOURCE_EXHAUSTED with RetryInfo, rather than an answer that would come too late."""
    async with running(tiny_bundle) as (server, stub):
        gate = Gate(server)
        calls = [await engine_busy(gate, stub)]
        long = pb.AnnotateRequest(documents=[doc.Document(text="fans " * 50)] * 40, tasks=["pos"])
        calls.append(asyncio.ensure_future(stub.Annotate(long, timeout=PATIENCE)))
        await until(lambda: primary(server).batcher.waiting_tokens > 0)
        for _ in range(100):
            primary(server).batcher._cost.learn(64, 60.0)
        assert value(server, "polyhead_queue_delay_seconds") > 2 * PATIENCE
        error = await status_of(stub.Annotate(request("refused"), timeout=2 * PATIENCE))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        delay = details(error)[RetryInfo].retry_delay
        assert 0 < delay.seconds + delay.nanos / 1e9 <= 30
        gate.open()
        assert len(await asyncio.gather(*calls)) == 2
        assert value(server, "polyhead_shed_total", reason="deadline") == 1


async def test_interactive_goes_before_bulk(tiny_bundle):
    """A call that says that it is bulk work waits in a lane of its own, and leaves the share."""
    async with running(tiny_bundle, batch_tokens=16) as (server, stub):
        gate = Gate(server)
        calls = [await engine_busy(gate, stub)]
        bulk = request("the fans won " * 40)
        bulk.priority = pb.PRIORITY_BULK
        slow = asyncio.ensure_future(stub.Annotate(bulk, timeout=PATIENCE))
        await until(lambda: primary(server).batcher._waiting.lane(Priority.BULK).items > 0)
        calls.append(asyncio.ensure_future(stub.Annotate(request("fans"), timeout=PATIENCE)))
        await until(lambda: primary(server).batcher._waiting.lane(Priority.INTERACTIVE).items > 0)
        gate.open()
        answers = await asyncio.gather(slow, *calls)
    assert answers[0].timings.queue_seconds > answers[2].timings.queue_seconds


async def test_unknown_priority(tiny_bundle):
    """A number that is no priority is named."""
    async with running(tiny_bundle) as (_, stub):
        wrong = request()
        wrong.priority = 7
        error = await status_of(stub.Annotate(wrong, timeout=PATIENCE))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert fields(error) == ["priority"]


async def test_cancelled_caller_frees_its_place(tiny_bundle):
    """A call given up in the queue is dropped; the calls beside it are answered."""
    async with running(tiny_bundle) as (server, stub):
        gate = Gate(server)
        first = await engine_busy(gate, stub)
        gone = stub.Annotate(request("gone"), timeout=PATIENCE)
        gone_task = asyncio.ensure_future(gone)
        await until(lambda: primary(server).batcher.waiting_items == 1)
        stays = asyncio.ensure_future(stub.Annotate(request("stays"), timeout=PATIENCE))
        await until(lambda: primary(server).batcher.waiting_items == 2)
        gone.cancel()
        await until(lambda: value(server, "polyhead_cancelled_total") == 1)
        gate.open()
        assert (await first).annotations
        assert (await stays).annotations
        await asyncio.wait([gone_task])
        await until(lambda: value(server, "polyhead_in_flight") == 0)
        assert handled(server, "Canceled") == 1
        assert handled(server, "OK") == 2


async def test_clients_deadline_is_kept_in_the_queue(tiny_bundle):
    """A deadline that passes while the engine is busy is told before the engine is done."""
    async with running(tiny_bundle) as (server, stub):
        gate = Gate(server)
        first = await engine_busy(gate, stub)
        error = await status_of(stub.Annotate(request("late"), timeout=0.05))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: handled(server, "DeadlineExceeded") == 1)
        assert primary(server).batcher.waiting_tokens == 0
        gate.open()
        assert (await first).annotations


async def test_default_deadline(tiny_bundle):
    """A call without a deadline has the server's."""
    async with running(tiny_bundle, default_deadline=0.05) as (server, stub):
        gate = Gate(server)
        first = await engine_busy(gate, stub)
        error = await status_of(stub.Annotate(request("late")))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert value(server, "polyhead_expired_total") == 1
        gate.open()
        await first


async def test_our_fault_is_told_as_internal_and_logged(tiny_bundle):
    """No text of a fault reaches the caller; the log has it with the request id."""
    async with running(tiny_bundle) as (server, stub):

        def fail(jobs):
            raise ValueError("the secret reason")

        primary(server).batcher._threads._encode = fail
        with structlog.testing.capture_logs(
            processors=[structlog.contextvars.merge_contextvars]
        ) as logs:
            error = await status_of(
                stub.Annotate(request(), metadata=(("x-request-id", "id-1"),), timeout=PATIENCE)
            )
        assert error.code() is grpc.StatusCode.INTERNAL
        assert error.details() == "internal error"
        assert list(details(error)) == [RequestInfo]
        assert b"secret" not in dict(tuple(error.trailing_metadata()))["grpc-status-details-bin"]
        (entry,) = [log for log in logs if log["event"] == "internal_error"]
        assert entry["request_id"] == "id-1"
        assert "secret" in str(entry["exc_info"])
        assert handled(server, "Internal") == 1


async def test_fault_outside_the_engine(tiny_bundle):
    """A bug in our own conversion is INTERNAL as well, and the next call works."""
    async with running(tiny_bundle) as (server, stub):
        finish = primary(server).model.finish
        primary(server).model.finish = lambda *_: {}
        error = await status_of(stub.Annotate(request(), timeout=PATIENCE))
        assert error.code() is grpc.StatusCode.INTERNAL
        assert error.details() == "internal error"
        primary(server).model.finish = finish
        assert (await stub.Annotate(request(), timeout=PATIENCE)).annotations


async def test_metrics_of_requests_and_stages(tiny_bundle):
    """Counts, stages and batches add up after a few calls."""
    async with running(tiny_bundle) as (server, stub):
        for _ in range(3):
            await stub.Annotate(request("the fans"), timeout=PATIENCE)
        await status_of(stub.Annotate(request(""), timeout=PATIENCE))
        assert handled(server, "OK") == 3
        assert handled(server, "InvalidArgument") == 1
        labels = {"grpc_type": "unary", "grpc_service": SERVICE, "grpc_method": "Annotate"}
        assert value(server, "grpc_server_started_total", **labels) == 4
        assert value(server, "grpc_server_handling_seconds_count", **labels) == 4
        assert value(server, "polyhead_documents_total") == 3
        assert value(server, "polyhead_windows_total") == 3
        assert value(server, "polyhead_batch_texts_sum") == 3
        for stage in ("tokenize", "queue", "encode", "heads"):
            assert value(server, "polyhead_stage_seconds_count", stage=stage) == 3
        assert value(server, "polyhead_in_flight") == 0
        build = {"version": "0.1.0", "bundle": "tiny", "bundle_version": "1"}
        assert value(server, "polyhead_build_info", **build) == 1


async def test_access_log_has_no_text(tiny_bundle):
    """One line for each call, with counts and without a word of the documents."""
    async with running(tiny_bundle, access_log=True) as (_, stub):
        with structlog.testing.capture_logs() as logs:
            await stub.Annotate(request("the secret fans"), timeout=PATIENCE)
            await status_of(stub.Annotate(request("secret", tasks=["mood"]), timeout=PATIENCE))
    lines = [log for log in logs if log["event"] == "call"]
    assert [(line["method"], line["status"], line["documents"]) for line in lines] == [
        ("Annotate", "OK", 1),
        ("Annotate", "INVALID_ARGUMENT", 0),
    ]
    assert "secret" not in str(logs)


async def test_bearer_tokens(tiny_bundle, tmp_path):
    """With a token file only callers with one of its tokens are let in."""
    file = tmp_path / "tokens"
    file.write_text("first\n\nsecond\n")
    async with running(tiny_bundle, token_file=file) as (_, stub):
        for given in ((), (("authorization", "Bearer wrong"),), (("authorization", "second"),)):
            error = await status_of(stub.Annotate(request(), metadata=given, timeout=PATIENCE))
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        token = (("authorization", "Bearer second"),)
        assert (await stub.Annotate(request(), metadata=token, timeout=PATIENCE)).annotations


async def test_many_calls_share_batches(tiny_bundle):
    """Single calls that arrive while the engine is busy leave in one batch."""
    async with running(tiny_bundle) as (server, stub):
        gate = Gate(server)
        first = await engine_busy(gate, stub)
        rest = [stub.Annotate(request("fans"), timeout=PATIENCE) for _ in range(10)]
        tasks = [asyncio.ensure_future(call) for call in rest]
        await until(lambda: primary(server).batcher.waiting_items == 10)
        gate.open()
        await asyncio.gather(first, *tasks)
        assert value(server, "polyhead_batch_texts_count") == 2
        assert value(server, "polyhead_batch_texts_sum") == 11
