"""What the HTTP library has to say goes into our log, without a byte of any request."""

from __future__ import annotations

import logging

import structlog
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web import RequestPayloadError

_log = structlog.get_logger(__name__)

_CALLERS = (HttpProcessingError, RequestPayloadError)
"""Faults of callers: what is no HTTP, and bodies that do not come as their headers say."""


class _Retold(logging.Handler):
    """Tells of a record by its level and the kind of its exception.

    The library puts what it could not read into its messages, and that may be a caller's text.
    """

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        reason = type(error).__name__
        if isinstance(error, _CALLERS):
            _log.debug("not_http", reason=reason)
        else:
            _log.log(record.levelno, "http_fault", reason=reason)


def quiet_logger() -> logging.Logger:
    """The logger for the library."""
    logger = logging.getLogger("polyhead_server.http")
    logger.propagate = False
    logger.handlers = [_Retold()]
    return logger
