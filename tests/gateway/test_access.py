"""Who may call, and how often: API keys, tokens, rates by client."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import grpc
import pytest
from gateway_processes import PATIENCE, ask, running_gateway

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub

ALICE, BOB = "alice-key-0123456789", "bob-key-0123456789"
SECRET = b"a secret that only tests know, 32"
ISSUER, AUDIENCE = "https://issuer.example", "polyhead"
RATE, BURST = 1, 5


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(seconds=600, secret=SECRET, **claims):
    """A signed token that is good for some seconds."""
    body = {"iss": ISSUER, "aud": AUDIENCE, "sub": "carol", "exp": int(time.time() + seconds)}
    parts = [json.dumps(one).encode() for one in ({"alg": "HS256", "kid": "k"}, body | claims)]
    signed = b".".join(map(b64, parts))
    return (signed + b"." + b64(hmac.digest(secret, signed, hashlib.sha256))).decode()


def bearer(**claims):
    return {"authorization": f"Bearer {token(**claims)}"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of API keys and one of keys for tokens."""
    folder = tmp_path_factory.mktemp("keys")
    (folder / "keys").write_text(f"# clients\nalice {ALICE}\n\nbob {BOB}\n")
    key = {"kty": "oct", "kid": "k", "alg": "HS256", "k": b64(SECRET).decode()}
    (folder / "jwks.json").write_text(json.dumps({"keys": [key]}))
    return folder


@pytest.fixture(scope="module")
def guarded(server, logs, files):
    """A gateway that wants a key or a token."""
    tokens = ("--jwt-keys", files / "jwks.json", "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE)
    options = ("--api-keys", files / "keys", *tokens)
    with running_gateway(logs / "guarded.jsonl", server, options=options) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def limited(server, logs, files):
    """A gateway with keys and few calls for each client."""
    rates = ("--rate-limit", RATE, "--rate-burst", BURST)
    options = ("--api-keys", files / "keys", *rates)
    with running_gateway(logs / "limited.jsonl", server, options=options) as gateway:
        yield gateway


@pytest.mark.parametrize(
    "headers", [{"x_api_key": ALICE}, {"x_api_key": BOB}, bearer(), bearer(aud=[AUDIENCE, "more"])]
)
def test_let_in(guarded, headers):
    """A known key will do, and so will a valid token."""
    assert ask(guarded, "/v1/tasks", **headers).status == 200
    request = {"documents": [{"text": "fans"}], "tasks": ["topic"]}
    assert ask(guarded, "/v1/annotate", request, **headers).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x_api_key": "wrong-key-0123456789"}, 401),
        ({"x_api_key": ""}, 401),
        ({"authorization": "Bearer nonsense"}, 401),
        (bearer(seconds=-120), 401),
        (bearer(secret=b"another secret of thirty-two byte"), 401),
        (bearer(iss="https://other.example"), 401),
        (bearer(aud="others"), 403),
        ({"x_polyhead_client": "alice"}, 401),
    ],
)
def test_kept_out(guarded, headers, status):
    """No key, a wrong one, or a token that is expired, forged or not for us is refused."""
    answer = ask(guarded, "/v1/tasks", **headers)
    assert answer.status == status
    assert answer.json["code"] == {401: 16, 403: 7}[status]


def test_grpc_is_guarded(guarded):
    """The same holds for gRPC."""
    with grpc.insecure_channel(guarded.address.removeprefix("http://")) as channel:
        stub = AnnotationServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListTasks(pb.ListTasksRequest(), timeout=PATIENCE)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        for pair in (("x-api-key", BOB), ("authorization", f"Bearer {token()}")):
            assert stub.ListTasks(pb.ListTasksRequest(), metadata=[pair], timeout=PATIENCE).tasks


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json"])
def test_open_to_all(guarded, path):
    """Health and pages need no key."""
    assert ask(guarded, path).status == 200


def test_log_names_the_client(guarded):
    """The access log says who called, and never with which key."""
    ask(guarded, "/v1/tasks", x_api_key=ALICE, x_request_id="by-alice")
    ask(guarded, "/v1/tasks", x_request_id="by-carol", **bearer())
    named = {}
    while len(named) < 2:
        named = {e["request_id"]: e["client"] for e in guarded.events() if "by-" in str(e)}
    assert named == {"by-alice": "alice", "by-carol": "carol"}
    assert ALICE not in guarded.log.read_text()


def test_rates_are_kept_by_client(limited):
    """A client beyond its burst is refused with 429, others are not; gRPC says the same."""
    answers = [ask(limited, "/v1/tasks", x_api_key=ALICE) for _ in range(BURST + 4)]
    refused = [answer for answer in answers if answer.status == 429]
    assert {answer.status for answer in answers[:BURST]} == {200}
    assert refused
    assert refused[0].json["code"] == 8
    assert int(refused[0].headers["retry-after"]) >= 1
    assert ask(limited, "/v1/tasks", x_api_key=BOB).status == 200
    with grpc.insecure_channel(limited.address.removeprefix("http://")) as channel:
        stub = AnnotationServiceStub(channel)
        asked = [
            stub.ListTasks.future(pb.ListTasksRequest(), metadata=[("x-api-key", ALICE)])
            for _ in range(BURST + 4)
        ]
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in {call.code() for call in asked}


def test_rates_by_address(server, logs):
    """Without keys a client is an address, and naming oneself does not help."""
    options = ("--rate-limit", RATE, "--rate-burst", BURST)
    with running_gateway(logs / "by-address.jsonl", server, options=options) as gateway:
        found = [
            ask(gateway, "/v1/tasks", x_polyhead_client=f"name-{n}").status
            for n in range(BURST + 4)
        ]
        assert found[:BURST] == [200] * BURST
        assert 429 in found
        assert ask(gateway, "/docs").status == 200
