"""From a gRPC status with google.rpc details to an error of the tree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from polyhead._errors import (
    CLASS_OF_CODE,
    InternalError,
    InvalidArgumentError,
    OverloadedError,
    PolyheadError,
    Violation,
)

if TYPE_CHECKING:
    from google.protobuf.any_pb2 import Any as AnyMessage

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]

REQUEST_ID_KEY = "x-request-id"
DETAILS_KEY = "grpc-status-details-bin"
_NAME_OF_NUMBER = {code.value[0]: code.name for code in grpc.StatusCode}


@dataclass(slots=True)
class _Details:
    """What the google.rpc details of one status say."""

    violations: tuple[Violation, ...] = ()
    retry_after: float | None = None
    request_id: str = ""


def error_of_rpc(failure: grpc.RpcError, request_id: str) -> PolyheadError:
    """Translate what grpc raised, sync or async.

    Args:
        failure: The exception; both flavours of grpc give it code, details and metadata.
        request_id: The id that the client sent, for failures that carry none.
    """
    call: Any = failure
    trailers = call.trailing_metadata()
    status = _status_of(trailers)
    details = _read_details(status.details)
    around = joined(trailers, call.initial_metadata())
    sent_back = details.request_id or find_text(around, REQUEST_ID_KEY)
    code, message = call.code(), call.details() or status.message
    return _build(code.name, message, details, sent_back or request_id)


def error_of_status(status: Status, request_id: str) -> PolyheadError:
    """Translate the google.rpc.Status of one stream item."""
    details = _read_details(status.details)
    code = _NAME_OF_NUMBER.get(status.code, "UNKNOWN")
    return _build(code, status.message, details, details.request_id or request_id)


def joined(*parts: Metadata | None) -> Metadata:
    """Give the metadata before and behind an answer in one, what counts more first."""
    return tuple(pair for part in parts for pair in part or ())


def find_text(metadata: Metadata | None, key: str) -> str:
    """Give the value of a metadata key as text, or an empty text."""
    for name, value in metadata or ():
        if name == key:
            return value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return ""


def _build(code: str, message: str, details: _Details, request_id: str) -> PolyheadError:
    cls = CLASS_OF_CODE.get(code, InternalError)
    message = message or code
    if issubclass(cls, InvalidArgumentError):
        return cls(message, code=code, request_id=request_id, violations=details.violations)
    if issubclass(cls, OverloadedError):
        return cls(message, code=code, request_id=request_id, retry_after=details.retry_after)
    return cls(message, code=code, request_id=request_id)


def _status_of(metadata: Metadata | None) -> Status:
    for name, value in metadata or ():
        if name == DETAILS_KEY and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:  # a proxy's own idea of details: the code and message still hold
                break
    return Status()


def _read_details(packed: Iterable[AnyMessage]) -> _Details:
    found = _Details()
    for detail in packed:
        try:
            _read_detail(detail, found)
        except DecodeError:  # as above
            continue
    return found


def _read_detail(detail: AnyMessage, found: _Details) -> None:
    bad_request = error_details_pb2.BadRequest()
    retry_info = error_details_pb2.RetryInfo()
    request_info = error_details_pb2.RequestInfo()
    if detail.Unpack(bad_request):
        fields = bad_request.field_violations
        found.violations += tuple(Violation(v.field, v.description) for v in fields)
    elif detail.Unpack(retry_info):
        delay = retry_info.retry_delay
        found.retry_after = max(0.0, delay.seconds + delay.nanos / 1e9)
    elif detail.Unpack(request_info):
        found.request_id = request_info.request_id
