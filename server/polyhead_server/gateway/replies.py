"""What Envoy says on its own account, as google.rpc.Status in JSON like everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_server.gateway.envoy_types import Json, header_begins

if TYPE_CHECKING:
    from collections.abc import Sequence

CODES = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    405: 12,  # UNIMPLEMENTED
    408: 4,  # DEADLINE_EXCEEDED
    413: 8,  # RESOURCE_EXHAUSTED
    415: 3,  # INVALID_ARGUMENT
    429: 8,  # RESOURCE_EXHAUSTED
    431: 8,  # RESOURCE_EXHAUSTED
    500: 13,  # INTERNAL
    502: 14,  # UNAVAILABLE
    503: 14,  # UNAVAILABLE
    504: 4,  # DEADLINE_EXCEEDED
}
"""google.rpc.Code of each HTTP status that Envoy answers with by itself."""

_REQUEST_INFO = "type.googleapis.com/google.rpc.RequestInfo"


def reply_mappers() -> Sequence[Json]:
    """How Envoy's own answers are put; the first mapper that fits counts.

    gRPC stays as Envoy has it, and the Open Inference Protocol has errors of its own.
    """
    return [
        {"filter": _both(_status("GE", 400), _grpc())},
        _mapper(_both(_status("GE", 400), _inference()), {"error": "%LOCAL_REPLY_BODY%"}),
        *(_mapper(_status("EQ", status), _body(code)) for status, code in CODES.items()),
    ]


def _mapper(which: Json, body: Json) -> Json:
    return {"filter": which, "body_format_override": {"json_format": body}}


def _body(code: int) -> Json:
    return {
        "code": code,
        "message": "%LOCAL_REPLY_BODY%",
        "details": [{"@type": _REQUEST_INFO, "requestId": "%REQ(X-REQUEST-ID)%"}],
    }


def _grpc() -> Json:
    """Calls that were gRPC from the start; the transcoder leaves a mark on those it makes so."""
    made = {"name": "x-envoy-original-path", "present_match": False}
    return _both(
        {"header_filter": {"header": header_begins("content-type", "application/grpc")}},
        {"header_filter": {"header": made}},
    )


def _inference() -> Json:
    return {"header_filter": {"header": header_begins(":path", "/v2")}}


def _both(one: Json, other: Json) -> Json:
    return {"and_filter": {"filters": [one, other]}}


def _status(op: str, status: int) -> Json:
    value = {"default_value": status, "runtime_key": f"gateway.reply.{status}"}
    return {"status_code_filter": {"comparison": {"op": op, "value": value}}}
