"""Structured logs on standard error: JSON for machines, colours for people, never user text."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, cast

import structlog

if TYPE_CHECKING:
    from typing import TextIO

    from polyhead_server.settings import LogFormat, LogLevel


def configure_logs(
    form: LogFormat, level: LogLevel, stream: TextIO | None = None, **always: object
) -> None:
    """Set structlog up for the process, before gRPC is imported.

    gRPC writes lines of another form, one for each header that it cannot read, and any caller can
    send such headers: it is told to write nothing, unless GRPC_VERBOSITY says what it may.

    Args:
        form: json, console, or auto for console on a terminal.
        level: least severe level that is written.
        stream: where to write; standard error by default.
        always: fields of every line, such as the number of this worker.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    out = stream or sys.stderr
    console = form == "console" or (form == "auto" and out.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            lambda _, __, event: {**always, **event},
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(console=console, colours=out.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Patient(out))),
        cache_logger_on_first_use=False,
    )


class _Patient:
    """A stream whose faults harm nobody: on a full disk lines are lost, and calls are not."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._out.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._out.flush()


def _renderers(*, console: bool, colours: bool) -> list[Any]:
    # Tracebacks are plain: the rich ones show local variables, and with them user text.
    if console:
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
