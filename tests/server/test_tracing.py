"""Spans of calls reach a real collector, joined to the caller's trace, with true times."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
import urllib.request

import grpc
import pytest
import structlog
from background_server import PATIENCE, BackgroundServer, Gate, primary, running
from collector import Collector, values

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server.collector import with_collector
from polyhead_server.tracing import Tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
SAMPLED = (("traceparent", f"00-{TRACE}-{SPAN}-01"), ("tracestate", "vendor=1"))
UNSAMPLED = (("traceparent", f"00-{TRACE}-{SPAN}-00"),)
NAME = "polyhead.v1.AnnotationService/Annotate"
STAGES = ["tokenize", "queue", "encode", "heads"]


def request(*texts, tasks=("pos",)):
    return pb.AnnotateRequest(documents=[doc.Document(text=text) for text in texts], tasks=tasks)


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def traced(tiny_bundle, collector):
    """Gives a function that starts a server which traces, and stub and server."""
    servers = []

    def start(**settings):
        server = BackgroundServer(tiny_bundle, otlp_endpoint=collector.endpoint, **settings)
        servers.append(server)
        return AnnotationServiceStub(server.channel), server

    yield start
    for server in servers:
        if server._thread.is_alive():
            server.close()


def test_spans_of_a_call(traced, collector):
    """A span for the call, below the caller's, and one for each stage, within the call's time."""
    stub, server = traced()
    before = time.time_ns()
    answer = stub.Annotate(
        request("the secret fans", "in"), metadata=(*SAMPLED, ("x-request-id", "id-1"))
    )
    server.close()
    call, *stages = collector.spans(5)
    after = time.time_ns()
    assert (call.name, call.kind) == (NAME, 2)
    assert {span.trace_id.hex() for span in (call, *stages)} == {TRACE}
    assert (call.parent_span_id.hex(), call.trace_state) == (SPAN, "vendor=1")
    assert [span.name for span in stages] == STAGES
    assert {span.parent_span_id for span in stages} == {call.span_id}
    edges = [call.start_time_unix_nano]
    for span in stages:
        edges += [span.start_time_unix_nano, span.end_time_unix_nano]
    edges.append(call.end_time_unix_nano)
    assert edges == sorted(edges)
    assert before <= edges[0]
    assert edges[-1] <= after
    encode = (stages[2].end_time_unix_nano - stages[2].start_time_unix_nano) / 1e9
    assert encode == pytest.approx(answer.timings.encode_seconds, abs=1e-6)
    assert values(call.attributes) == {
        "rpc.system": "grpc",
        "rpc.service": "polyhead.v1.AnnotationService",
        "rpc.method": "Annotate",
        "rpc.grpc.status_code": 0,
        "polyhead.request_id": "id-1",
        "polyhead.documents": 2,
        "polyhead.chars": 17,
        "polyhead.tokens": sum(one.tokens for one in answer.annotations),
    }
    assert collector.resources[0]["service.name"] == "polyhead-server"
    assert "secret" not in str(call)


def test_a_trace_of_its_own(traced, collector):
    """A call without a trace begins one; a stranger's nonsense in the header does no harm."""
    stub, server = traced()
    stub.Annotate(request("fans"))
    stub.Annotate(request("fans"), metadata=(("traceparent", "nonsense"),))
    server.close()
    calls = [span for span in collector.spans(10) if span.name == NAME]
    assert [span.parent_span_id for span in calls] == [b"", b""]
    assert len({span.trace_id for span in calls}) == 2
    assert all(any(span.trace_id) for span in calls)


def test_errors(traced, collector):
    """A call that failed has its status; only what is the server's fault counts as an error."""
    stub, server = traced()

    def broken(jobs):
        raise ValueError("private")

    with pytest.raises(grpc.RpcError):
        stub.Annotate(request("fans", tasks=["mood"]))
    primary(server.server).batcher._threads._encode = broken
    with pytest.raises(grpc.RpcError):
        stub.Annotate(request("fans"))
    server.close()
    wrong, fault = collector.spans(2)
    assert (values(wrong.attributes)["rpc.grpc.status_code"], wrong.status.code) == (3, 0)
    assert (values(fault.attributes)["rpc.grpc.status_code"], fault.status.code) == (13, 2)
    assert "private" not in str(fault)


def test_stream(traced, collector):
    """Each message of a stream has a span of its own with its stages, up to a bound."""
    stub, server = traced()
    item = pb.StreamItem(id="1", document=doc.Document(text="the fans"))
    message = pb.AnnotateStreamRequest(items=[item], tasks=["pos"])
    assert len(list(stub.AnnotateStream(iter([message] * 70), metadata=SAMPLED))) == 70
    server.close()
    spans = collector.spans(1 + 64 * 5)
    (call,) = [span for span in spans if span.name.endswith("/AnnotateStream")]
    messages = [span for span in spans if span.name == "message"]
    assert {span.parent_span_id for span in messages} == {call.span_id}
    assert len(messages) == 64
    attributes = values(call.attributes)
    assert attributes["polyhead.messages_without_span"] == 6
    assert attributes["polyhead.documents"] == 70
    encodes = {span.parent_span_id for span in spans if span.name == "encode"}
    assert encodes == {span.span_id for span in messages}


def test_sampling(traced, collector):
    """A caller's decision holds for its trace; for others the setting does."""
    stub, server = traced(trace_sample=0.0)
    stub.Annotate(request("fans"))
    stub.Annotate(request("fans"), metadata=UNSAMPLED)
    stub.Annotate(request("fans"), metadata=SAMPLED)
    server.close()
    spans = collector.spans(5)
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert len(spans) == 5


def test_ids_in_the_log(traced):
    """Lines of a call have the ids of its trace, sampled or not."""
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as logs:
        stub, server = traced(access_log=True)
        stub.Annotate(request("fans"), metadata=UNSAMPLED)
        server.close()
    (line,) = [log for log in logs if log["event"] == "call"]
    assert line["trace_id"] == TRACE
    assert len(line["span_id"]) == 16


def test_exemplars(traced):
    """The histogram of call times leads to traces, for scrapers that take OpenMetrics."""
    stub, server = traced(metrics_port=0)
    stub.Annotate(request("fans"), metadata=SAMPLED)
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    ask = urllib.request.Request(server.ready.metrics, headers=accept)  # noqa: S310 - our own
    with urllib.request.urlopen(ask, timeout=PATIENCE) as answer:  # noqa: S310 - our own
        page = answer.read().decode()
    lines = [line for line in page.splitlines() if "grpc_server_handling_seconds_bucket" in line]
    assert any('# {span_id="' in line and TRACE in line for line in lines)
    assert page.endswith("# EOF\n")


async def test_forbidden_by_opentelemetrys_own(tiny_bundle, collector, monkeypatch):
    """Where its SDK is switched off, nothing is recorded."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    async with running(tiny_bundle, otlp_endpoint=collector.endpoint) as (server, stub):
        assert (await stub.Annotate(request("fans"), timeout=PATIENCE)).annotations
        assert server._tracing is None


async def test_no_collector(tiny_bundle):
    """Where no collector answers, calls do, and the server stops in time."""
    unheard = Collector()
    unheard.close()
    async with running(tiny_bundle, otlp_endpoint=unheard.endpoint) as (server, stub):
        answers = await asyncio.gather(
            *(stub.Annotate(request("fans"), timeout=PATIENCE) for _ in range(20))
        )
        assert all(answer.annotations for answer in answers)
        async with asyncio.timeout(PATIENCE / 2):
            assert await server.stop() is True


async def test_cancelled_calls_have_spans(tiny_bundle, collector):
    """A call that its caller gave up ends as CANCELLED."""
    async with running(tiny_bundle, otlp_endpoint=collector.endpoint) as (server, stub):
        gate = Gate(server)
        call = stub.Annotate(request("fans"), timeout=PATIENCE)
        waiting = asyncio.ensure_future(call)
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await server._calls.idle(PATIENCE)
        gate.open()
    (span,) = await asyncio.to_thread(collector.spans, 1)
    assert values(span.attributes)["rpc.grpc.status_code"] == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tracestate", "the patient John Doe has cancer"),
        ("tracestate", "a=" + "x" * 600),
        ("traceparent", f"00-{TRACE}-{SPAN}-01-" + "x" * 600),
    ],
)
def test_headers_of_callers_are_not_logged(traced, capfd, name, value):
    """The SDK's own words are; those about what a caller sent are not."""
    stub, server = traced()
    with structlog.testing.capture_logs() as logs:
        stub.Annotate(request("fans"), metadata=tuple({**dict(SAMPLED), name: value}.items()))
        logging.getLogger("opentelemetry.exporter.otlp").warning("no collector")
        server.close()
    assert [one["message"] for one in logs if one["event"] == "tracing"] == ["no collector"]
    assert "patient" not in "".join(capfd.readouterr())


ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({ENDPOINT: "http://c:4317"}, "http://c:4317"),
        ({ENDPOINT: "x", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t:1"}, "http://t:1"),
        ({ENDPOINT: "x", "POLYHEAD_OTLP_ENDPOINT": "http://own:1"}, "http://own:1"),
        ({ENDPOINT: "x", "POLYHEAD_OTLP_ENDPOINT": "none"}, "none"),
        ({ENDPOINT: "x", "OTEL_SDK_DISABLED": "true"}, None),
        ({ENDPOINT: "x", "OTEL_TRACES_EXPORTER": "none"}, None),
        ({ENDPOINT: "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, None),
        ({ENDPOINT: "x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "x"),
    ],
)
def test_standard_variables(environment, expected):
    """The standard variables name the collector, unless they or our own setting say otherwise."""
    found = with_collector(environment)
    assert found.environment.get("POLYHEAD_OTLP_ENDPOINT") == expected
    assert ("http/protobuf" in found.reason) == ("http/protobuf" in environment.values())


def test_command_reads_the_environment(tiny_bundle, collector):
    """The command traces by the standard variables alone: collector, service name and sampler."""
    environment = os.environ | {
        ENDPOINT: collector.endpoint,
        "OTEL_SERVICE_NAME": "texts",
        "OTEL_TRACES_SAMPLER": "parentbased_always_off",
    }
    command = [sys.executable, "-m", "polyhead_server", "serve", "--port=0", "--metrics-port=-1"]
    with subprocess.Popen(
        [*command, "--threads=1", f"--bundle={tiny_bundle}", "--access-log"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        address = process.stdout.readline().split()[3]
        with grpc.insecure_channel(address) as channel:
            stub = AnnotationServiceStub(channel)
            stub.Annotate(request("fans"))
            stub.Annotate(request("fans"), metadata=SAMPLED)
        process.terminate()
        _, log = process.communicate(timeout=PATIENCE)
    assert {span.trace_id.hex() for span in collector.spans(5)} == {TRACE}
    assert collector.resources[0]["service.name"] == "texts"
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["trace_id"] for line in lines if line["event"] == "call"][1] == TRACE


def test_endpoint_without_scheme(collector):
    """A plain host and port is taken as one without TLS."""
    tracing = Tracing(collector.endpoint.removeprefix("http://"), 1.0)
    trace = tracing.begin("service/Method", {})
    tracing.end(trace, time.perf_counter(), grpc.StatusCode.OK, {})
    asyncio.run(tracing.close(PATIENCE))
    assert collector.spans(1)[0].name == "service/Method"
