"""What browsers need: gRPC-Web in both encodings, and CORS."""

from __future__ import annotations

import base64

import pytest
from gateway_processes import ORIGIN, ask

from polyhead.v1 import annotation_service_pb2 as pb

SERVICE = "/polyhead.v1.AnnotationService"
REQUEST = pb.AnnotateRequest(documents=[{"text": "the fans won"}], tasks=["topic"])
TRAILERS = 0x80


def framed(data):
    return b"\x00" + len(data).to_bytes(4) + data


def frames(body):
    """Flags and content of each frame."""
    while body:
        size = int.from_bytes(body[1:5])
        yield body[0], body[5 : 5 + size]
        body = body[5 + size :]


def decoded_text(body):
    """Base64 that was encoded in parts, each with its own padding."""
    parts = body.replace(b"=", b"= ").split()
    joined = b""
    whole = b"".join(parts)
    while whole:
        end = whole.find(b"=")
        end = len(whole) if end < 0 else end + 1 + (whole[end + 1 : end + 2] == b"=")
        joined += base64.b64decode(whole[:end])
        whole = whole[end:]
    return joined


@pytest.mark.parametrize("text", [False, True])
def test_grpc_web(gateway, text):
    """A unary call as a browser makes it; the status comes as the last frame."""
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
    data = framed(REQUEST.SerializeToString())
    answer = ask(
        gateway,
        f"{SERVICE}/Annotate",
        base64.b64encode(data) if text else data,
        content_type=kind,
        accept=kind,
        x_grpc_web="1",
    )
    assert answer.status == 200
    body = decoded_text(answer.body) if text else answer.body
    (flags, message), (last, trailers) = frames(body)
    assert (flags, last) == (0, TRAILERS)
    assert b"grpc-status: 0" in trailers.replace(b"status:0", b"status: 0")
    assert pb.AnnotateResponse.FromString(message).bundle_version == "1"


def test_grpc_web_error(gateway):
    """An error arrives with its code and details."""
    data = framed(pb.AnnotateRequest().SerializeToString())
    kind = "application/grpc-web+proto"
    answer = ask(gateway, f"{SERVICE}/Annotate", data, content_type=kind)
    said = answer.headers.get("grpc-status") or answer.body.decode("latin-1")
    assert "3" in said
    assert "grpc-status-details-bin" in {*answer.headers} or "details-bin" in said


def test_preflight(gateway):
    """A page of a named origin may call with our headers, and read the status."""
    asked = {
        "access_control_request_method": "POST",
        "access_control_request_headers": "content-type,x-grpc-web,authorization,x-api-key",
    }
    path = f"{SERVICE}/Annotate"
    answer = ask(gateway, path, verb="OPTIONS", origin=ORIGIN, **asked)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"content-type", "x-grpc-web", "authorization", "x-api-key"} <= set(allowed)
    listed = ask(gateway, "/v1/tasks", origin=ORIGIN)
    assert "grpc-status" in listed.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("path", "status", "more"),
    [
        ("/openapi.json", 200, {}),
        ("/nothing", 404, {}),
        ("/v1/annotate", 405, {}),
        (f"{SERVICE}/Annotate", 400, {"grpc_timeout": "soon"}),
    ],
)
def test_answers_of_the_gateway_itself_can_be_read(gateway, path, status, more):
    """By pages that may call; others get no leave, and the same answer."""
    own = ask(gateway, path, origin=ORIGIN, **more)
    other = ask(gateway, path, origin=f"{ORIGIN}.other", **more)
    assert own.status == other.status == status
    assert own.headers["access-control-allow-origin"] == ORIGIN
    assert "x-request-id" in own.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in other.headers
    assert own.headers["content-type"] == other.headers["content-type"]


def test_other_origins_are_not_allowed(gateway):
    """A page of another origin gets no leave, neither before a call nor with it."""
    asked = {"origin": "https://other.example", "access_control_request_method": "POST"}
    for answer in (
        ask(gateway, "/v1/annotate", verb="OPTIONS", **asked),
        ask(gateway, "/v1/tasks", origin="https://other.example"),
    ):
        assert answer.status == 200
        assert "access-control-allow-origin" not in answer.headers
