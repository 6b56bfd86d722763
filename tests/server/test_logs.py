"""Logs are JSON for machines, plain for people, with the request id and without local variables."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from polyhead_server.logs import configure_logs


def written(form, level="info"):
    """What a program would log in this form."""
    stream = io.StringIO()
    configure_logs(form, level, stream)
    log = structlog.get_logger()
    structlog.contextvars.bind_contextvars(request_id="id-1")
    log.debug("quiet")
    log.info("loud", number=1)
    fail(log)
    return stream.getvalue()


def fail(log):
    user_text = "private"
    try:
        int(f"broken{len(user_text)}")
    except ValueError:
        log.exception("fault")


def test_json():
    """One object a line, with request id, level, time and traceback."""
    loud, fault = map(json.loads, written("json").splitlines())
    assert (loud["event"], loud["number"], loud["request_id"]) == ("loud", 1, "id-1")
    assert loud["level"] == "info"
    assert loud["timestamp"].endswith("Z")
    assert "broken7" in fault["exception"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_local_variables_stay_private(form):
    """A traceback shows no value of a variable."""
    assert "private" not in written(form).replace('user_text = "private"', "")


def test_console():
    """Lines for people."""
    page = written("console")
    assert "loud" in page
    assert "request_id=id-1" in page


def test_auto_is_json_where_nobody_looks():
    """Into a file or a pipe goes JSON."""
    assert written("auto").startswith("{")


def test_fields_of_every_line():
    """What a process always is stands in each line, of whatever thread."""
    stream = io.StringIO()
    configure_logs("json", "info", stream, worker=3)
    structlog.get_logger().info("loud", number=1)
    line = json.loads(stream.getvalue())
    assert (line["worker"], line["number"]) == (3, 1)


def test_a_line_is_written_at_once():
    """Several workers write into one file: the end of a line is not a write of its own."""

    class Writes(io.StringIO):
        def write(self, text):
            writes.append(text)

    writes = []
    configure_logs("json", "info", Writes())
    structlog.get_logger().info("loud")
    (line,) = writes
    assert line.endswith("}\n")


def test_level():
    """What is less severe than the level is not written."""
    assert "quiet" not in written("json")
    assert "quiet" in written("json", "debug")
