"""What went wrong over HTTP, in the shape in which grpc reports it."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from polyhead._status import DETAILS_KEY, REQUEST_ID_KEY

if TYPE_CHECKING:
    from polyhead._http_transport import Answer

TOO_LARGE = 413

_CODE_OF_HTTP = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    405: grpc.StatusCode.UNIMPLEMENTED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_OF_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


class HttpFailure(grpc.RpcError):
    """A call over HTTP that failed. Read like what grpc raises, so that one reader does for both.

    Args:
        code: The status code.
        message: The status message.
        http_status: The HTTP status; 0 where there was no answer.
        details: The google.rpc details, if any.
        request_id: The id that came back, if any.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        http_status: int = 0,
        details: Status | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self._code = code
        self._message = message
        self._details = details or Status()
        self._request_id = request_id

    def code(self) -> grpc.StatusCode:
        """Give the status code."""
        return self._code

    def details(self) -> str:
        """Give the status message."""
        return self._message

    def initial_metadata(self) -> Any:
        """Give what came before the failure."""
        return ((REQUEST_ID_KEY, self._request_id),) if self._request_id else ()

    def trailing_metadata(self) -> Any:
        """Give what came with the failure."""
        return ((DETAILS_KEY, self._details.SerializeToString()),)


def failure_of(answer: Answer) -> HttpFailure:
    """Read an answer that is an error: google.rpc.Status in JSON, or whatever a proxy says."""
    said = _json(answer.body)
    number = said.get("code") if isinstance(said, dict) else None
    if isinstance(said, dict) and isinstance(number, int):
        code = _OF_NUMBER.get(number, grpc.StatusCode.UNKNOWN)
        message, packed = str(said.get("message", "")), said.get("details")
    else:
        code = _CODE_OF_HTTP.get(answer.status, grpc.StatusCode.UNKNOWN)
        message, packed = f"HTTP {answer.status} {answer.reason}".rstrip(), None
    return HttpFailure(
        code,
        message,
        http_status=answer.status,
        details=_details(packed, answer.headers.get("retry-after")),
        request_id=answer.headers.get(REQUEST_ID_KEY, ""),
    )


def is_error(answer: Answer) -> bool:
    """Whether an answer is an error. That of a stream may come under status 200."""
    if answer.status != 200:  # noqa: PLR2004 - OK
        return True
    return answer.body.lstrip()[:8].startswith(b'{"code"')


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _details(packed: object, retry_after: str | None) -> Status:
    """Give the details that can be read; a header says when to come back where they do not."""
    status = Status()
    for detail in packed if isinstance(packed, list) else ():
        try:
            json_format.ParseDict(detail, status.details.add(), ignore_unknown_fields=True)
        except (json_format.ParseError, TypeError, AttributeError):  # of a type not known here
            status.details.pop()
    known = any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)
    seconds = _seconds(retry_after)
    if seconds is not None and not known:
        delay = Duration()
        delay.FromNanoseconds(int(seconds * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def _seconds(retry_after: str | None) -> float | None:
    """Give the seconds of a Retry-After header; a date is passed over."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return seconds if seconds >= 0 and math.isfinite(seconds) else None
