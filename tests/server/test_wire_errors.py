"""Every domain error of a request has its place on the wire."""

from __future__ import annotations

import grpc
import pytest
from background_server import unpacked
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo

from polyhead_server import errors
from polyhead_server.errors import (
    DrainingError,
    InternalError,
    InvalidRequestError,
    QueueFullError,
    RequestError,
    RolloutError,
    Violation,
)
from polyhead_server.wire_errors import CODES, code_of, status_of


def subclasses(kind):
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def test_the_table_is_the_tree():
    """Every class of errors below RequestError is in the table, and nothing else."""
    own = {kind for kind in subclasses(RequestError) if kind.__module__ == errors.__name__}
    assert set(CODES) == own


def test_an_error_of_a_narrower_kind():
    """It is on the wire what the kind is that it belongs to."""

    class WorkerGoneError(RolloutError):
        pass

    status = status_of(WorkerGoneError("NO_WORKER", "it has ended"), "id")
    assert code_of(WorkerGoneError("NO_WORKER", "")) is grpc.StatusCode.FAILED_PRECONDITION
    assert status.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
    assert unpacked(status)[ErrorInfo].reason == "NO_WORKER"


def test_bad_request_names_the_fields():
    """Violations travel as BadRequest."""
    error = InvalidRequestError([Violation("tasks", "must hold one"), Violation("a.b", "is odd")])
    status = status_of(error, "id")
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert status.message == "tasks: must hold one; a.b: is odd"
    found = [(v.field, v.description) for v in unpacked(status)[BadRequest].field_violations]
    assert found == [("tasks", "must hold one"), ("a.b", "is odd")]


def test_violations_are_bounded():
    """A thousand bad documents do not make metadata that no client accepts."""
    error = InvalidRequestError([Violation(f"documents[{n}].text", "x" * 60) for n in range(1024)])
    assert len(status_of(error, "id").SerializeToString()) < 4096


@pytest.mark.parametrize(("count", "size"), [(40, 3_000), (1, 100_000)])
def test_long_violations_are_bounded(count, size):
    """Those of a bundle with many heads are long, each of them."""
    error = InvalidRequestError([Violation(f"tasks[{n}]", "é" * size) for n in range(count)])
    status = status_of(error, "id")
    assert len(status.SerializeToString()) < 6_000
    assert unpacked(status)[BadRequest].field_violations[0].field == "tasks[0]"


def test_retry_info():
    """A full queue says when to come again."""
    delay = unpacked(status_of(QueueFullError(1.5), "id"))[RetryInfo].retry_delay
    assert (delay.seconds, delay.nanos) == (1, 500_000_000)


def test_request_info_is_always_there():
    """Each status names its request."""
    for error in (InternalError(), DrainingError("going"), QueueFullError(1)):
        assert unpacked(status_of(error, "my id"))[RequestInfo].request_id == "my id"
    assert code_of(DrainingError("going")) is grpc.StatusCode.UNAVAILABLE
