"""One trace from the client through the gateway to the server."""

from __future__ import annotations

import pytest
from collector import Collector
from gateway_processes import ask, running_gateway, running_server
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from polyhead import Client, HttpClient

CALL = "polyhead.v1.AnnotationService/Annotate"


@pytest.fixture(scope="module")
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="module")
def traced(bundle, logs, collector):
    """A gateway before a server that traces."""
    endpoint = f"--otlp-endpoint={collector.endpoint}"
    log = logs / "traced.jsonl"
    with (
        running_server(log, bundle, endpoint) as server,
        running_gateway(logs / "tracing.jsonl", server) as gateway,
    ):
        yield server, gateway


@pytest.fixture(scope="module")
def tracer(collector):
    """The tracer of a program that calls."""
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=collector.endpoint)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("program")
    provider.shutdown()


def of_trace(collector, trace_id, names):
    """The spans of a trace by name, once those are there."""
    count = 1
    while True:
        spans = {s.name: s for s in collector.spans(count) if s.trace_id.hex() == trace_id}
        if names <= spans.keys():
            return spans
        count = len(collector.spans(count)) + 1


@pytest.mark.parametrize("kind", ["grpc", "http"])
def test_one_trace(traced, collector, tracer, kind):
    """Over gRPC and over JSON: the program's span, the server's below it, its stages below that."""
    server, gateway = traced
    plain = gateway.address.removeprefix("http://")
    with (
        Client(plain) if kind == "grpc" else HttpClient(gateway.address) as client,
        tracer.start_as_current_span(f"ask over {kind}") as span,
    ):
        client.annotate("the fans", request_id=f"traced-{kind}")
    trace_id = f"{span.get_span_context().trace_id:032x}"
    stages = {"tokenize", "queue", "encode", "heads"}
    spans = of_trace(collector, trace_id, {f"ask over {kind}", CALL, *stages})
    assert spans[CALL].parent_span_id == spans[f"ask over {kind}"].span_id
    assert {spans[stage].parent_span_id for stage in stages} == {spans[CALL].span_id}
    for process in (server, gateway):
        (line,) = [e for e in process.events() if e.get("request_id") == f"traced-{kind}"]
        assert trace_id in (line.get("trace_id"), (line.get("traceparent") or "")[3:35])


def test_other_callers(traced, collector):
    """Any HTTP caller can say what trace its call belongs to."""
    _, gateway = traced
    trace_id = "c" * 32
    body = {"documents": [{"text": "the fans"}], "tasks": ["pos"]}
    answer = ask(gateway, "/v1/annotate", body, traceparent=f"00-{trace_id}-{'d' * 16}-01")
    assert answer.status == 200
    assert of_trace(collector, trace_id, {CALL})[CALL].parent_span_id.hex() == "d" * 16
