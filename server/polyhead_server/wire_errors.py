"""The one place where domain errors meet gRPC: their status codes and google.rpc details."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    QuotaFailure,
    RequestInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status

from polyhead_server.errors import (
    DeadlineExceededError,
    DrainingError,
    HopelessError,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    QueueFullError,
    RateExceededError,
    RequestError,
    RolloutError,
    UnauthenticatedError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from google.protobuf.message import Message

DETAILS_KEY = "grpc-status-details-bin"
"""Trailing metadata key of the google.rpc.Status, fixed by gRPC."""

CODES: dict[type[RequestError], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    RateExceededError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    QueueFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HopelessError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    DrainingError: grpc.StatusCode.UNAVAILABLE,
    RolloutError: grpc.StatusCode.FAILED_PRECONDITION,
    InternalError: grpc.StatusCode.INTERNAL,
}
"""Status code of each domain error; errors of any other class are faults: INTERNAL."""

_DOMAIN = "polyhead"
"""Whose reasons those of ErrorInfo are."""
_MOST_VIOLATIONS = 32
_MOST_BYTES = 3_500
"""Of violations that are sent. Metadata of more than 8 KB may be refused on the way, and the error
with it; details are a third longer there, and the message stands there, too."""
_MOST_MESSAGE = 600
"""Characters of a message, for the same reason."""


def code_of(error: RequestError) -> grpc.StatusCode:
    """Status code of an error, or of the kind of errors that it is one of."""
    known = (CODES[kind] for kind in type(error).__mro__ if kind in CODES)
    return next(known, grpc.StatusCode.INTERNAL)


def status_of(error: RequestError, request_id: str) -> Status:
    """The error as google.rpc.Status, with RequestInfo and the details of its kind."""
    status = Status(code=code_of(error).value[0], message=_cut(str(error), _MOST_MESSAGE))
    for detail in (*_details(error), RequestInfo(request_id=request_id)):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _details(error: RequestError) -> list[Message]:
    if isinstance(error, InvalidRequestError):
        return [_bad_request(error)]
    if isinstance(error, QueueFullError):
        return [_retry(error.retry_after)]
    if isinstance(error, RateExceededError):
        violation = QuotaFailure.Violation(subject=error.client, description=str(error))
        return [_retry(error.retry_after), QuotaFailure(violations=[violation])]
    if isinstance(error, RolloutError):
        return [ErrorInfo(reason=error.reason, domain=_DOMAIN)]
    return []


def _retry(seconds: float) -> RetryInfo:
    delay = Duration()
    delay.FromNanoseconds(int(seconds * 1e9))
    return RetryInfo(retry_delay=delay)


def _bad_request(error: InvalidRequestError) -> BadRequest:
    """The first violations, as many as may be sent."""
    told = BadRequest()
    for violation in error.violations[:_MOST_VIOLATIONS]:
        description = _cut(violation.description, _MOST_MESSAGE)
        told.field_violations.add(field=violation.field, description=description)
        if told.ByteSize() > _MOST_BYTES:
            if len(told.field_violations) > 1:
                del told.field_violations[-1]
            break
    return told


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
