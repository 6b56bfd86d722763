"""Traces of calls for an OpenTelemetry collector; needs the extra `tracing`.

Spans are made when a call is over, from the times that it has kept anyhow: until then a trace is
two numbers and a decision. A thread of the SDK's sends them; where no collector answers, or spans
come faster than they go, they are dropped and calls go on.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc
    from opentelemetry.util.types import AttributeValue

    from polyhead_server.timings import Timings

_PARENT_HEADER = "traceparent"
_MOST_PIECES = 64
"""Messages of a stream that get spans: streams may go on for ever."""
_OUR_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Statuses that are errors of a server, by OpenTelemetry's conventions for gRPC."""
_NO_CONTEXT = Context()
_TOLD = ("opentelemetry.sdk", "opentelemetry.exporter")


@dataclass(slots=True)
class Trace:
    """One call's part of a trace."""

    name: str
    context: SpanContext
    parent: SpanContext | None
    pieces: list[Timings] = field(default_factory=list)
    """What was done for the call, in its order."""
    left_out: int = 0
    """Pieces that are not in the list."""

    @property
    def sampled(self) -> bool:
        """Whether spans are to be made."""
        return self.context.trace_flags.sampled

    @property
    def ids(self) -> dict[str, str]:
        """Its ids in hexadecimal, for logs and exemplars."""
        context = self.context
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    def add(self, timings: Timings) -> None:
        """Something was done for the call."""
        if not self.sampled:
            return
        if len(self.pieces) < _MOST_PIECES:
            self.pieces.append(timings)
        else:
            self.left_out += 1


class Tracing:
    """Begins and ends traces of calls, and sends what is sampled to a collector.

    Args:
        endpoint: URL of a collector that takes OTLP over gRPC.
        sample: part of the traces begun here that are recorded, from 0 to 1; None leaves it to
            OTEL_TRACES_SAMPLER. A caller's own decision holds for its trace.
    """

    def __init__(self, endpoint: str, sample: float | None = None) -> None:
        _log_through_ours()
        sampler = None if sample is None else ParentBased(TraceIdRatioBased(sample))
        url = endpoint if "://" in endpoint else f"http://{endpoint}"
        self._processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=url))
        provider = TracerProvider(sampler=sampler, resource=_resource(), shutdown_on_exit=False)
        self._sampler = provider.sampler
        self._ids = provider.id_generator
        self._resource = provider.resource
        self._scope = InstrumentationScope("polyhead_server", version("polyhead-server"))
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, name: str, metadata: Mapping[str, str]) -> Trace:
        """Begin a call's part of the caller's trace, or a trace of its own.

        Args:
            name: service and method.
            metadata: what came with the call.
        """
        around = _NO_CONTEXT
        parent = None
        if _PARENT_HEADER in metadata:
            around = self._propagator.extract(metadata, _NO_CONTEXT)
            parent = get_current_span(around).get_span_context()
        known = parent is not None and parent.is_valid
        trace_id = parent.trace_id if parent and known else self._ids.generate_trace_id()
        decision = self._sampler.should_sample(around, trace_id, name, SpanKind.SERVER)
        sampled = decision.decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if sampled else 0)
        context = SpanContext(
            trace_id,
            self._ids.generate_span_id(),
            is_remote=False,
            trace_flags=flags,
            trace_state=decision.trace_state,
        )
        return Trace(name, context, parent if known else None)

    def end(
        self, trace: Trace, start: float, code: grpc.StatusCode, notes: Mapping[str, AttributeValue]
    ) -> None:
        """Make the spans of a call that is over, if it is sampled.

        Args:
            trace: the call's.
            start: when the call began, as `time.perf_counter` has it.
            code: how it ended.
            notes: attributes of its span.
        """
        if not trace.sampled:
            return
        clock = _Clock()
        service, _, method = trace.name.rpartition("/")
        attributes: dict[str, AttributeValue] = {
            "rpc.system": "grpc",
            "rpc.service": service,
            "rpc.method": method,
            "rpc.grpc.status_code": code.value[0],
            **notes,
        }
        if trace.left_out:
            attributes["polyhead.messages_without_span"] = trace.left_out
        failed = StatusCode.ERROR if code.name in _OUR_FAULTS else StatusCode.UNSET
        self._emit(
            ReadableSpan(
                trace.name,
                trace.context,
                trace.parent,
                self._resource,
                attributes,
                kind=SpanKind.SERVER,
                status=Status(failed),
                start_time=clock.wall(start),
                end_time=clock.now,
                instrumentation_scope=self._scope,
            )
        )
        whole = len(trace.pieces) == 1 and not trace.left_out
        for piece in trace.pieces:
            self._end_piece(trace, piece, clock, apart=not whole)

    async def close(self, limit: float) -> None:
        """Send what is left, `limit` seconds at most."""
        thread = threading.Thread(target=self._processor.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, limit)

    def _end_piece(self, trace: Trace, piece: Timings, clock: _Clock, *, apart: bool) -> None:
        """A span for each stage; below one for the message where the call had several."""
        above = trace.context
        stages = piece.stages()
        if apart:
            total = sum(seconds for _, seconds in stages)
            above = self._child("message", trace.context, piece.start, total, clock)
        start = piece.start
        for name, seconds in stages:
            if seconds > 0:
                self._child(name, above, start, seconds, clock)
            start += seconds

    def _child(
        self, name: str, parent: SpanContext, start: float, seconds: float, clock: _Clock
    ) -> SpanContext:
        context = SpanContext(
            parent.trace_id,
            self._ids.generate_span_id(),
            is_remote=False,
            trace_flags=parent.trace_flags,
            trace_state=parent.trace_state,
        )
        span = ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            kind=SpanKind.INTERNAL,
            start_time=clock.wall(start),
            end_time=clock.wall(start + seconds),
            instrumentation_scope=self._scope,
        )
        self._emit(span)
        return context

    def _emit(self, span: ReadableSpan) -> None:
        self._processor.on_end(span)


class _Clock:
    """Turns times of `time.perf_counter` into nanoseconds since 1970, none beyond now."""

    def __init__(self) -> None:
        self._perf = time.perf_counter()
        self.now = time.time_ns()

    def wall(self, seconds: float) -> int:
        return min(self.now, self.now - int((self._perf - seconds) * 1e9))


def _resource() -> Resource:
    """What the environment says of this service, and its name where it does not."""
    found = Resource.create({SERVICE_VERSION: version("polyhead-server")})
    if str(found.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: "polyhead-server"}))
    return found


class _ToOurLog(logging.Handler):
    """Writes what the SDK and its exporter have to say into the server's log, in its form.

    What the API says is left out: it repeats headers that it cannot read, and any caller can send
    such headers.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(_TOLD):
            return
        log = structlog.get_logger("opentelemetry")
        log.warning("tracing", message=record.getMessage())


def _log_through_ours() -> None:
    theirs = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, _ToOurLog) for handler in theirs.handlers):
        theirs.addHandler(_ToOurLog(logging.WARNING))
        theirs.propagate = False
