"""The trace that a call belongs to, for programs that use OpenTelemetry; nothing for others."""

from __future__ import annotations

import sys

_API = "opentelemetry.trace"


def trace_metadata() -> tuple[tuple[str, str], ...]:
    """Give the W3C headers of the current span; none where there is no span.

    A program that has a span has imported OpenTelemetry itself, so nobody else pays for it.
    """
    if _API not in sys.modules:
        return ()
    from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415 - see above

    headers: dict[str, str] = {}
    tracecontext.TraceContextTextMapPropagator().inject(headers)
    return tuple(headers.items())
