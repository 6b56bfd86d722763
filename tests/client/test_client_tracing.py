"""Calls join the trace of the span that is current, where the program has one."""

import asyncio
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from polyhead import AsyncClient, Client

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test")


def parents(service):
    """What the calls said of their trace."""
    return [call.metadata.get("traceparent") for call in service.calls]


def header(span):
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def test_single_calls(service):
    """A call inside a span carries it; one outside carries none."""
    with Client(service.address) as client:
        client.annotate("one")
        with TRACER.start_as_current_span("work") as span:
            client.annotate("two")
        client.annotate("three")
    assert parents(service) == [None, header(span), None]


async def test_tasks_have_spans_of_their_own(service):
    """Of calls of the asynchronous client at the same time, each carries its own task's span."""
    async with AsyncClient(service.address) as client:

        async def work(text):
            with TRACER.start_as_current_span(text) as span:
                await client.annotate(text, request_id=text)
                return text, header(span)

        wanted = dict(await asyncio.gather(*map(work, ["one", "two", "three"])))
    assert {c.metadata["x-request-id"]: c.metadata["traceparent"] for c in service.calls} == wanted


def test_streams(service):
    """A stream belongs to the span in which it is read."""
    with Client(service.address) as client, TRACER.start_as_current_span("work") as span:
        list(client.annotate_stream(["one", "two"]))
    assert set(parents(service)) == {header(span)}


async def test_asynchronous_streams(service):
    """So does one of the asynchronous client."""
    async with AsyncClient(service.address) as client:
        with TRACER.start_as_current_span("work") as span:
            assert [outcome async for outcome in client.annotate_stream(["one", "two"])]
    assert set(parents(service)) == {header(span)}


def test_trace_state_goes_along(service):
    """What other systems put into the trace's state is passed on."""
    remote = trace.SpanContext(
        1, 2, is_remote=True, trace_state=trace.TraceState([("vendor", "x")])
    )
    with Client(service.address) as client, trace.use_span(trace.NonRecordingSpan(remote)):
        client.annotate("one")
    metadata = service.calls[-1].metadata
    assert metadata["tracestate"] == "vendor=x"
    assert metadata["traceparent"].endswith("-00")


@pytest.mark.parametrize("before", ["", "import opentelemetry.trace"])
def test_only_for_those_who_use_it(before):
    """A program that does not use OpenTelemetry does not load it by calling."""
    script = f"""
{before}
import sys
from polyhead import Client
from polyhead.testing import serve
with serve() as service, Client(service.address) as client:
    client.annotate("one")
    assert "traceparent" not in service.calls[-1].metadata
print("opentelemetry.trace" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(bool(before))
