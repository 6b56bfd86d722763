"""One line for each call, with who and what and how long; texts only where asked for."""

from __future__ import annotations

import io
import json
import urllib.request
from pathlib import Path

import grpc
import pytest
import structlog
from background_server import PATIENCE, BackgroundServer, quiet_settings

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server.callers import caller_of
from polyhead_server.lifecycle import start_server
from polyhead_server.logs import configure_logs

CERTS = Path(__file__).parent.parent / "client" / "certs"
CERT, KEY = CERTS / "certificate.pem", CERTS / "key.pem"
REQUEST = pb.AnnotateRequest(documents=[doc.Document(text="the secret fans")], tasks=["pos"])
STAGES = {"tokenize_seconds", "queue_seconds", "encode_seconds", "heads_seconds"}


class Peer:
    """What a wire says of its other end."""

    def __init__(self, peer: str, *names: bytes) -> None:
        self._peer, self._names = peer, names

    def peer(self) -> str:
        return self._peer

    def auth_context(self):
        return {"x509_common_name": self._names} if self._names else {}


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (Peer("ipv4:10.0.0.7:40112"), "10.0.0.7"),
        (Peer("ipv6:%5B2001:db8::1%5D:40112"), "[2001:db8::1]"),
        (Peer("unix:/run/s.sock"), "unix:/run/s.sock"),
        (Peer(""), "unknown"),
        (Peer("ipv4:10.0.0.7:40112", b"client a"), "cert:client a"),
    ],
)
def test_caller(peer, expected):
    """A certificate says more than an address."""
    assert caller_of(peer) == expected


def logged(bundle, form, calls, **settings):
    """What a server writes while these calls are made."""
    stream = io.StringIO()
    configure_logs(form, "info", stream)
    server = BackgroundServer(bundle, **({"access_log": True} | settings))
    try:
        calls(AnnotationServiceStub(server.channel))
    finally:
        server.close()
    return stream.getvalue()


def lines(bundle, calls, event="call", **settings):
    page = logged(bundle, "json", calls, **settings)
    return [line for line in map(json.loads, page.splitlines()) if line["event"] == event]


def ask(stub, *metadata):
    stub.Annotate(REQUEST, metadata=(("x-request-id", "id-1"), *metadata), timeout=PATIENCE)


def test_fields(tiny_bundle):
    """Request id, client, sizes, timings and status, of single calls, streams and failures."""

    def calls(stub):
        ask(stub)
        item = pb.StreamItem(id="1", document=REQUEST.documents[0])
        message = pb.AnnotateStreamRequest(items=[item, item], tasks=["pos"])
        list(stub.AnnotateStream(iter([message, message]), timeout=PATIENCE))
        with pytest.raises(grpc.RpcError):
            stub.Annotate(pb.AnnotateRequest(tasks=["pos"]), timeout=PATIENCE)

    single, stream, failed = lines(tiny_bundle, calls)
    assert single["request_id"] == "id-1"
    assert (single["method"], single["status"], single["client"]) == ("Annotate", "OK", "127.0.0.1")
    assert (single["documents"], single["chars"]) == (1, 15)
    assert sum(single[stage] for stage in STAGES) <= single["seconds"]
    assert all(single[stage] > 0 for stage in STAGES)
    assert (stream["documents"], stream["chars"]) == (4, 60)
    assert stream["tokens"] == 4 * single["tokens"]
    assert (failed["status"], failed["documents"]) == ("INVALID_ARGUMENT", 0)
    assert not STAGES & failed.keys()


def test_console(tiny_bundle):
    """The same for people."""
    page = logged(tiny_bundle, "console", ask)
    (line,) = [line for line in page.splitlines() if " call " in line]
    for part in ("client=127.0.0.1", "documents=1", "request_id=id-1", "status=OK", "encode_sec"):
        assert part in line
    assert "secret" not in page


def test_client_by_token(tiny_bundle, tmp_path):
    """A caller with a token is known by its digest, one with a wrong token by its address."""
    file = tmp_path / "tokens"
    file.write_text("a-token\n")

    def calls(stub):
        ask(stub, ("authorization", "Bearer a-token"))
        with pytest.raises(grpc.RpcError):
            ask(stub, ("authorization", "Bearer another"))

    found = lines(tiny_bundle, calls, token_file=file)
    assert [line["client"] for line in found] == ["token:1f6076e3", "127.0.0.1"]
    assert "a-token" not in str(found)


def test_whom_a_gateway_asks_for(tiny_bundle):
    """The name that a gateway passes on stands beside what the gateway itself is."""
    long = ("x-polyhead-client", "n" * 500)
    first, second = lines(
        tiny_bundle, lambda stub: [ask(stub, ("x-polyhead-client", "shop")), ask(stub, long)]
    )
    assert (first["client"], first["for_client"]) == ("127.0.0.1", "shop")
    assert len(second["for_client"]) == 128


def test_texts_only_where_asked_for(tiny_bundle):
    """With the setting, and a warning, the log holds the texts; without it never."""
    page = logged(tiny_bundle, "json", ask, log_text=True)
    events = [json.loads(line) for line in page.splitlines()]
    (warning,) = [event for event in events if event["event"] == "texts_are_logged"]
    assert warning["level"] == "warning"
    (texts,) = [event for event in events if event["event"] == "texts"]
    assert (texts["texts"], texts["request_id"]) == (["the secret fans"], "id-1")
    assert "secret" not in logged(tiny_bundle, "json", ask)


def test_no_line_unless_asked_for(tiny_bundle):
    """Without the setting calls leave no line."""
    assert lines(tiny_bundle, ask, access_log=False) == []


def test_over_http(tiny_bundle):
    """Calls over HTTP have the same line."""
    stream = io.StringIO()
    configure_logs("json", "info", stream)
    server = BackgroundServer(tiny_bundle, access_log=True, inference_http_port=0)
    try:
        inputs = [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["the fans"]}]
        url = f"{server.ready.inference}/v2/models/pos/infer"
        body = json.dumps({"inputs": inputs}).encode()
        with urllib.request.urlopen(url, body, timeout=PATIENCE) as answer:  # noqa: S310 - our own
            assert answer.status == 200
    finally:
        server.close()
    events = map(json.loads, stream.getvalue().splitlines())
    (line,) = [event for event in events if event["event"] == "call"]
    assert (line["method"], line["client"], line["documents"]) == ("ModelInfer", "127.0.0.1", 1)
    assert line.keys() >= STAGES


async def test_client_by_certificate(tiny_bundle):
    """A caller with a certificate is known by its common name."""
    files = {"tls_cert": CERT, "tls_key": KEY, "tls_client_ca": CERT}
    own = grpc.ssl_channel_credentials(CERT.read_bytes(), KEY.read_bytes(), CERT.read_bytes())
    target = (("grpc.ssl_target_name_override", "localhost"),)
    with structlog.testing.capture_logs() as logs:
        server = await start_server(quiet_settings(tiny_bundle, access_log=True, **files))
        async with grpc.aio.secure_channel(server.ready.address, own, target) as channel:
            await AnnotationServiceStub(channel).Annotate(REQUEST, timeout=PATIENCE)
        await server.stop()
    (line,) = [log for log in logs if log["event"] == "call"]
    assert line["client"] == "cert:localhost"
