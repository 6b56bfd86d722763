"""What the HTTP library could not read does not go into the log."""

from __future__ import annotations

import pytest
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.web import RequestPayloadError
from structlog.testing import capture_logs

from polyhead_server.inference.http_faults import quiet_logger


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (BadHttpMessage("b'private text'"), ("not_http", "BadHttpMessage", "debug")),
        (RequestPayloadError("private text"), ("not_http", "RequestPayloadError", "debug")),
        (ValueError("private text"), ("http_fault", "ValueError", "error")),
    ],
)
def test_no_text_in_the_log(fault, told):
    """A line tells the kind of the fault, and nothing of the request; no other logger hears it."""
    logger = quiet_logger()
    with capture_logs() as logs:
        try:
            raise fault
        except type(fault):
            logger.exception("Error handling request %s", "private text")
    (line,) = logs
    assert (line["event"], line["reason"], line["log_level"]) == told
    assert "private" not in str(line)
    assert not logger.propagate
