"""An HTTP request as the wire of a call: headers for metadata, HTTP status for gRPC's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from polyhead_server.inference.json_wire import dump
from polyhead_server.wire_errors import DETAILS_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

HTTP_STATUS = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""HTTP status of each gRPC status that the server gives."""


class HttpWire:
    """What a call needs of an HTTP request, and what the answer needs of the call.

    Args:
        headers: the request's.
        peer: address of the other end, as gRPC writes it.
        certificate: whom its client certificate names; empty without one.

    Attributes:
        headers: to send with every answer.
        status: HTTP status of a call that failed.
        retry: further headers of a call that failed.
    """

    def __init__(
        self, headers: Mapping[str, str], *, peer: str = "", certificate: str = ""
    ) -> None:
        # Metadata of gRPC is ASCII; a header that is not is none that the server knows.
        known = ((name, value) for name, value in headers.items() if value.isascii())
        self._metadata = tuple((name.lower(), value) for name, value in known)
        self._peer = peer
        self._certificate = certificate
        self._message = ""
        self.headers: dict[str, str] = {}
        self.status = HTTP_STATUS[grpc.StatusCode.INTERNAL]
        self.retry: dict[str, str] = {}

    @property
    def body(self) -> bytes:
        """The body of a call that failed."""
        return dump({"error": self._message})

    def invocation_metadata(self) -> Any:
        """The request's headers."""
        return self._metadata

    def peer(self) -> str:
        """Address of the other end."""
        return self._peer

    def auth_context(self) -> Any:
        """What it proved to be."""
        return {"x509_common_name": [self._certificate.encode()]} if self._certificate else {}

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Keep headers for the answer."""
        self.headers.update(initial_metadata)

    def time_remaining(self) -> float | None:
        """HTTP callers set no deadline beside the request's timeout."""
        return None

    def cancelled(self) -> bool:
        """A caller that goes away cancels the handler instead."""
        return False

    def set_code(self, code: grpc.StatusCode) -> None:
        """Take the status of a call that failed."""
        self.status = HTTP_STATUS[code]

    def set_details(self, details: str) -> None:
        """Take its message."""
        self._message = details

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Take its details, of which HTTP has a place for when to try again, and headers."""
        sent = dict(trailing_metadata)
        status = Status.FromString(sent.pop(DETAILS_KEY, b""))
        self.headers.update(sent)
        info = RetryInfo()
        for detail in status.details:
            if detail.Unpack(info):
                self.retry["Retry-After"] = str(info.retry_delay.seconds + 1)
