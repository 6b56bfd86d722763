"""The error tree, and the table from gRPC status codes to its classes.

PolyheadError
├── InvalidArgumentError      INVALID_ARGUMENT, OUT_OF_RANGE   the request; do not repeat it
├── UnauthenticatedError      UNAUTHENTICATED                  no token, or a wrong one
├── PermissionDeniedError     PERMISSION_DENIED                the token does not allow this
├── DeadlineExceededError     DEADLINE_EXCEEDED                out of time, retries included
├── CallCancelledError        CANCELLED                        the call was given up
├── UnavailableError          UNAVAILABLE                      no server could be reached
├── OverloadedError           RESOURCE_EXHAUSTED               the server's queue is full
├── UnimplementedError        UNIMPLEMENTED                    a server without the method
├── InternalError             INTERNAL, UNKNOWN, DATA_LOSS     a fault in the server
└── UnexpectedStatusError     every other code                 none that the service is to send
    └── NotFoundError         NOT_FOUND                        a bundle version not loaded
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with one field of a request.

    Attributes:
        field: The field's path, such as `documents[2].text`.
        description: What is wrong with it.
    """

    field: str
    description: str


class PolyheadError(Exception):
    """A call that gave no answer.

    Attributes:
        code: The name of the gRPC status code, such as `"UNAVAILABLE"`.
        message: What happened, in words.
        request_id: The id under which the server logged the request; empty where there was none.
    """

    def __init__(self, message: str, *, code: str, request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.request_id = request_id

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by attributes, so that errors cross process boundaries whole."""
        return _rebuild, (type(self), self.args, self.__dict__)

    def to_dict(self) -> dict[str, Any]:
        """Give the error as JSON-ready values."""
        return {"code": self.code, "message": self.message, "request_id": self.request_id}


def _rebuild(
    cls: type[PolyheadError], args: tuple[Any, ...], state: dict[str, Any]
) -> PolyheadError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class InvalidArgumentError(PolyheadError):
    """The request is wrong, and would be wrong again.

    Attributes:
        violations: What is wrong with each field.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "INVALID_ARGUMENT",
        request_id: str = "",
        violations: tuple[Violation, ...] = (),
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.violations = violations

    def __str__(self) -> str:
        """Give the message, and the violations that it does not already spell out."""
        extra = [v for v in self.violations if v.description not in self.message]
        return "; ".join([self.message, *(f"{v.field}: {v.description}" for v in extra)])

    def to_dict(self) -> dict[str, Any]:
        """Give the error as JSON-ready values."""
        fields = [{"field": v.field, "description": v.description} for v in self.violations]
        return {**PolyheadError.to_dict(self), "violations": fields}


class OverloadedError(PolyheadError):
    """The server has no room for the request now.

    Attributes:
        retry_after: Seconds to wait at least before asking again, or None where the server did
            not say; then asking again is not known to help, and the client does not.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "RESOURCE_EXHAUSTED",
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.retry_after = retry_after


class UnavailableError(PolyheadError):
    """No server could be reached, or it went away during the call."""


class DeadlineExceededError(PolyheadError):
    """No answer came in time, retries included."""


class UnauthenticatedError(PolyheadError):
    """The call carried no token, or one that the server does not accept."""


class PermissionDeniedError(PolyheadError):
    """The token does not allow this call."""


class CallCancelledError(PolyheadError):
    """The call was cancelled before its answer came, by a proxy or by the server."""


class UnimplementedError(PolyheadError):
    """The server does not know the method: not a polyhead server, or an older one."""


class InternalError(PolyheadError):
    """The server failed, or sent an answer that this client cannot read."""


class UnexpectedStatusError(PolyheadError):
    """The call ended with a status that the service is not known to send."""


class NotFoundError(UnexpectedStatusError):
    """The server does not have what the call names, such as a version of the bundle."""


CLASS_OF_CODE: dict[str, type[PolyheadError]] = {
    "CANCELLED": CallCancelledError,
    "UNKNOWN": InternalError,
    "INVALID_ARGUMENT": InvalidArgumentError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
    "NOT_FOUND": NotFoundError,
    "ALREADY_EXISTS": UnexpectedStatusError,
    "PERMISSION_DENIED": PermissionDeniedError,
    "RESOURCE_EXHAUSTED": OverloadedError,
    "FAILED_PRECONDITION": UnexpectedStatusError,
    "ABORTED": UnexpectedStatusError,
    "OUT_OF_RANGE": InvalidArgumentError,
    "UNIMPLEMENTED": UnimplementedError,
    "INTERNAL": InternalError,
    "UNAVAILABLE": UnavailableError,
    "DATA_LOSS": InternalError,
    "UNAUTHENTICATED": UnauthenticatedError,
}
