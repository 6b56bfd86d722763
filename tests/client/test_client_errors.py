"""The error tree, its table, and what is read from a status."""

import pickle

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from polyhead import (
    InternalError,
    InvalidArgumentError,
    OverloadedError,
    PolyheadError,
    UnauthenticatedError,
    UnexpectedStatusError,
    Violation,
)
from polyhead._errors import CLASS_OF_CODE
from polyhead._status import error_of_status
from polyhead.testing import serve


def tree(cls):
    """Give every class below one."""
    return {sub for direct in cls.__subclasses__() for sub in {direct, *tree(direct)}}


def test_every_class_is_in_the_table():
    """No class of the tree is unreachable from the wire."""
    assert tree(PolyheadError) == set(CLASS_OF_CODE.values())


def test_every_code_is_in_the_table():
    """Every status code of gRPC but OK has its class."""
    assert set(CLASS_OF_CODE) == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize("code", sorted(CLASS_OF_CODE))
def test_each_code_raises_its_class(connect, service, code):
    """A failed call raises the table's class, with code, message and request id."""
    client = connect(service.address)
    service.fail(10, code, "just so")
    with pytest.raises(CLASS_OF_CODE[code]) as caught:
        client.annotate("x", request_id="r1")
    error = caught.value
    assert type(error) is CLASS_OF_CODE[code]
    assert (error.code, error.message, error.request_id) == (code, "just so", "r1")


def test_violations_are_read(client, service):
    """BadRequest becomes violations, and the text names those that the message does not."""
    violations = (Violation("documents[0].text", "too odd"), Violation("tasks", "too few"))
    service.fail(1, "INVALID_ARGUMENT", "bad: too few", violations=violations)
    with pytest.raises(InvalidArgumentError) as caught:
        client.annotate("x")
    assert caught.value.violations == violations
    assert str(caught.value) == "bad: too few; documents[0].text: too odd"
    assert caught.value.to_dict()["violations"][1] == {"field": "tasks", "description": "too few"}


def test_overload_says_when_to_come_back(connect, service):
    """RetryInfo becomes retry_after; without it there is none."""
    client = connect(service.address, timeout=1)
    service.fail(1, "RESOURCE_EXHAUSTED", retry_after=7.5)
    service.fail(1, "RESOURCE_EXHAUSTED")
    for expected in (7.5, None):
        with pytest.raises(OverloadedError) as caught:
            client.annotate("x")
        assert caught.value.retry_after == expected


def test_a_missing_token_is_unauthenticated(connect):
    """A service that wants a token refuses a client without one."""
    with serve(token="s3cret") as service, pytest.raises(UnauthenticatedError):  # noqa: S106
        connect(service.address).annotate("x")


def test_damaged_details_do_not_hide_the_status():
    """Details that cannot be read leave code and message as they are."""
    broken = Any(type_url="type.googleapis.com/google.rpc.BadRequest", value=b"\xff\xff")
    status = Status(code=3, message="no", details=[broken])
    error = error_of_status(status, "r1")
    assert isinstance(error, InvalidArgumentError)
    assert (error.message, error.violations, error.request_id) == ("no", (), "r1")


def test_foreign_details_are_skipped():
    """Details of other kinds do not disturb those that we read."""
    status = Status(code=8, message="full")
    status.details.add().Pack(error_details_pb2.Help())
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(250)
    status.details.add().Pack(retry)
    error = error_of_status(status, "")
    assert isinstance(error, OverloadedError)
    assert error.retry_after == 0.25


def test_an_unknown_code_is_internal():
    """A number that no gRPC knows is the server's fault."""
    error = error_of_status(Status(code=99), "")
    assert isinstance(error, InternalError)
    assert error.message == "UNKNOWN"


@pytest.mark.parametrize(
    "error",
    [
        InvalidArgumentError("m", request_id="r", violations=(Violation("f", "d"),)),
        OverloadedError("m", retry_after=1.5),
        UnexpectedStatusError("m", code="ABORTED"),
    ],
)
def test_errors_survive_pickling(error):
    """An error that crosses a process boundary arrives whole."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert copy.__dict__ == error.__dict__
    assert str(copy) == str(error)
