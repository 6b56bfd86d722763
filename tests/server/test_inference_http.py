"""The Open Inference Protocol over HTTP: JSON, the binary extension, statuses, limits, life."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import http.client
import json
import socket
import ssl
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
import structlog
from background_server import (
    PATIENCE,
    BackgroundServer,
    Gate,
    primary,
    quiet_settings,
    running,
    until,
)
from tiny_bundle import HEADS, write_tiny_bundle

from polyhead_server.errors import StartError
from polyhead_server.inference import http_port
from polyhead_server.inference.http_wire import HTTP_STATUS
from polyhead_server.lifecycle import start_server
from polyhead_server.wire_errors import CODES

JSON_LENGTH = "Inference-Header-Content-Length"
CERTS = Path(__file__).parent.parent / "client" / "certs"
INFER = "/v2/models/topic/infer"


class Answer:
    """An HTTP answer that was read to its end."""

    def __init__(self, response) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        assert self.headers["Content-Type"].startswith("application/json")
        assert list(self.json) == ["error"]
        return self.json["error"]


def ask(server, method, path, body=None, headers=None, connection=http.client.HTTPConnection):
    """Ask on a connection of its own."""
    address = server.ready.inference.partition("://")[2]
    asking = connection(address, timeout=PATIENCE)
    try:
        asking.request(method, path, body, headers or {})
        return Answer(asking.getresponse())
    finally:
        asking.close()


@pytest.fixture(scope="module")
def http_server(tiny_bundle):
    server = BackgroundServer(tiny_bundle, inference_http_port=0, max_message_bytes=100_000)
    yield server
    server.close()


@pytest.fixture
def post(http_server):
    def post(content, path=INFER, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return ask(http_server, "POST", path, body, headers)

    return post


@pytest.fixture
def get(http_server):
    return lambda path: ask(http_server, "GET", path)


def tensor(*texts, **fields):
    return {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": texts} | fields


def request(*texts, **fields):
    return {"inputs": [tensor(*(texts or ["the fans"]))]} | fields


def raw(*elements):
    return b"".join(len(one).to_bytes(4, "little") + one for one in elements)


def output(answer, name):
    (found,) = [output for output in answer.json["outputs"] if output["name"] == name]
    return found


def test_json_in_json_out(post):
    """Tensors are plain lists; the id is echoed; text comes back as it is."""
    answer = post(request("naïve fans 😀", "word", id="seven"), "/v2/models/polyhead/infer")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    content = answer.json
    assert (content["model_name"], content["model_version"], content["id"]) == (
        *("polyhead", "1", "seven"),
    )
    scores = output(answer, "sentiment.scores")
    assert (scores["datatype"], scores["shape"], len(scores["data"])) == ("FP32", [2, 3], 6)
    assert output(answer, "pos.counts")["data"] == [3, 1]
    words = json.loads(output(answer, "pos.words")["data"][0])
    assert [word["text"] for word in words] == ["naïve", "fans", "😀"]
    assert content["parameters"]["offset_unit"] == "code_point"
    assert content["parameters"]["encode_seconds"] > 0


def test_paths_with_and_without_version(get, post):
    """Each model's paths exist with and without its version."""
    for model in ("/v2/models/topic", "/v2/models/topic/versions/1"):
        assert get(model).json["versions"] == ["1"]
        assert get(f"{model}/ready").json == {"name": "topic", "ready": True}
        assert get(f"{model}/config").json["name"] == "topic"
        assert get(f"{model}/stats").json["model_stats"][0]["name"] == "topic"
        assert post(request(), f"{model}/infer").status == 200


async def test_probes_are_no_calls(tiny_bundle):
    """Gateways ask every second: rates of errors and times are to be those of callers."""
    async with running(tiny_bundle, inference_http_port=0) as (server, _):
        for path in ("/v2/health/live", "/v2/health/ready", "/v2"):
            assert started(server) == 0
            assert (await asyncio.to_thread(ask, server, "GET", path)).status == 200
        assert started(server) == 1


def started(server) -> float:
    found = server.metrics.registry.collect()
    samples = [sample for metric in found for sample in metric.samples]
    return sum(s.value for s in samples if s.name == "grpc_server_started_total")


def test_addresses_of_version_4_on_a_socket_of_version_6():
    """They are who they are on a socket of their own, for quotas and logs."""

    def peer(*name):
        transport = SimpleNamespace(get_extra_info=lambda _: name)
        return http_port._peer(SimpleNamespace(transport=transport))

    assert peer("::ffff:10.0.0.7", 4000, 0, 0) == "ipv4:10.0.0.7:4000"
    assert peer("10.0.0.7", 4000) == "ipv4:10.0.0.7:4000"
    assert peer("fe80::1%eth0", 4000, 0, 2) == "ipv6:[fe80::1%eth0]:4000"


def test_server_paths(get, post):
    """Health, metadata, statistics and the index of models."""
    assert get("/v2/health/live").json == {"live": True}
    assert get("/v2/health/ready").json == {"ready": True}
    assert get("/v2").json == get("/v2/").json
    assert get("/v2").json["name"] == "polyhead"
    assert len(get("/v2/models/stats").json["model_stats"]) == 5
    for body in (b"", b"{}", b'{"ready": true}'):
        assert len(post(body, "/v2/repository/index").json) == 5


@pytest.mark.parametrize("data", [["fans", "word"], [["fans"], ["word"]]])
def test_a_column_may_be_flat_or_nested(post, data):
    """JSON data of shape [N,1] is a list of elements or of rows."""
    answer = post({"inputs": [tensor(shape=[2, 1], data=data)]})
    assert output(answer, "label")["shape"] == [2]


def test_binary_extension_both_ways(post):
    """Elements follow behind the JSON, in and out, each as it is asked for."""
    content = raw(b"the fans", b"word")
    given = tensor(shape=[2], parameters={"binary_data_size": len(content)})
    del given["data"]
    head = json.dumps(
        {
            "inputs": [given],
            "outputs": [
                {"name": "label", "parameters": {"binary_data": True}},
                {"name": "score", "parameters": {"binary_data": False}},
                {"name": "scores", "parameters": {"binary_data": True}},
            ],
        }
    ).encode()
    answer = post(head + content, **{JSON_LENGTH: str(len(head))})
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/octet-stream"
    length = int(answer.headers[JSON_LENGTH])
    label, score, scores = json.loads(answer.body[:length])["outputs"]
    sizes = [one["parameters"]["binary_data_size"] for one in (label, scores)]
    assert sizes == [2 * 5, 2 * 2 * 4]
    assert len(answer.body) == length + sum(sizes)
    assert answer.body[length : length + 5] in (raw(b"a"), raw(b"b"))
    assert len(score["data"]) == 2


def test_binary_output_everywhere(post):
    """A parameter of the request asks for binary outputs; those that say otherwise stay JSON."""
    outputs = [{"name": "label"}, {"name": "score", "parameters": {"binary_data": False}}]
    answer = post(request(parameters={"binary_data_output": True}, outputs=outputs))
    label, score = json.loads(answer.body[: int(answer.headers[JSON_LENGTH])])["outputs"]
    assert "data" not in label
    assert len(score["data"]) == 1


BAD = {
    "no JSON": (b"{", "body"),
    "no text": (b"\xff\xfe", "body"),
    "too deep": (b"[" * 50_000, "body"),
    "endless number": (b"[" + b"9" * 10_000 + b"]", "body"),
    "empty": (b"", "body"),
    "a list": ([], "the request"),
    "no inputs": ({}, "inputs"),
    "empty inputs": ({"inputs": []}, "inputs"),
    "inputs an object": ({"inputs": {}}, "inputs"),
    "input a number": ({"inputs": [1]}, "inputs[0]"),
    "no name": ({"inputs": [{"datatype": "BYTES", "shape": [1], "data": ["a"]}]}, "inputs[0].name"),
    "no data": ({"inputs": [tensor(data=None)]}, "inputs[0].data"),
    "data of numbers": ({"inputs": [tensor(data=[1])]}, "inputs[0].data"),
    "data too deep": ({"inputs": [tensor(data=[[["a"]]])]}, "inputs[0].data"),
    "no shape": ({"inputs": [tensor("a", shape=None)]}, "inputs[0].shape"),
    "shape of text": ({"inputs": [tensor("a", shape=["1"])]}, "inputs[0].shape"),
    "shape of truth": ({"inputs": [tensor("a", shape=[True])]}, "inputs[0].shape"),
    "huge shape": ({"inputs": [tensor("a", shape=[10**40])]}, "inputs[0].shape"),
    "numbers": ({"inputs": [tensor(datatype="FP32", data=[1.5], shape=[1])]}, "inputs[0].datatype"),
    "half a pair": ({"inputs": [tensor("\ud800")]}, "text[0]"),
    "binary missing": ({"inputs": [tensor(parameters={"binary_data_size": 9})]}, "inputs[0].param"),
    "binary negative": (
        {"inputs": [tensor(parameters={"binary_data_size": -1})]},
        "inputs[0].param",
    ),
    "id a number": (request(id=7), "id"),
    "parameters a list": (request(parameters=[]), "parameters"),
    "outputs a number": (request(outputs=3), "outputs"),
    "output without name": (request(outputs=[{}]), "outputs[0].name"),
    "output of strange name": (request(outputs=[{"name": "\ud800"}]), "outputs[0].name"),
    "bad unit": (request(parameters={"offset_unit": 3}), "parameters.offset_unit"),
    "bad timeout": (request(parameters={"timeout": 1.5}), "parameters.timeout"),
    "unit a list": (request(parameters={"offset_unit": ["utf16"]}), "parameters.offset_unit"),
    "unit null": (request(parameters={"offset_unit": None}), "parameters.offset_unit"),
    "timeout a list": (request(parameters={"timeout": [1]}), "parameters.timeout"),
    "timeout null": (request(parameters={"timeout": None}), "parameters.timeout"),
    "priority an object": (request(parameters={"priority": {"a": 1}}), "parameters.priority"),
    "priority null": (request(parameters={"priority": None}), "parameters.priority"),
    "classes a list": (
        request(outputs=[{"name": "scores", "parameters": {"classification": [1]}}]),
        "outputs[0].parameters",
    ),
}


@pytest.mark.parametrize(("content", "field"), BAD.values(), ids=BAD.keys())
def test_bad_requests(post, content, field):
    """What is against the contract is 400 with an error that begins with its place."""
    answer = post(content)
    assert answer.status == 400
    assert answer.error.startswith(field)


@pytest.mark.parametrize("value", [[1], {"a": 1}, None, "x"])
def test_unknown_parameters_are_ignored(post, value):
    """Whatever their value is."""
    assert post(request(parameters={"mine": value})).status == 200


def test_bad_json_lengths(post):
    """A header that does not fit the body is refused, and so is data that nobody asked for."""
    strange = ("-1", "many", "9" * 30, "", "1e3", "\u0663".encode().decode("latin1"))
    padded = ("0" * 20 + "99999", "0" * 5_000 + "99999", "9" * 5_000)
    for given in strange + padded:
        answer = post(request(), **{JSON_LENGTH: given})
        assert (answer.status, answer.error.partition(":")[0]) == (400, JSON_LENGTH)
    body = json.dumps(request()).encode()
    left_over = post(body + b"more", **{JSON_LENGTH: str(len(body))})
    assert left_over.error == "body: 4 bytes of data are left over after all inputs"
    assert post(body, **{JSON_LENGTH: "0" * 5_000}).error.startswith("body")
    assert post(body, **{JSON_LENGTH: "0" * 5_000 + str(len(body))}).status == 200


def test_unknown_things_are_404(get, post):
    """Models, versions and paths that are not there; methods that are not for a path are 405."""
    assert "'mood' is not found" in post(request(), "/v2/models/mood/infer").error
    assert post(request(), "/v2/models/mood/infer").status == 404
    for path in ("/v2/models/mood", "/v2/models/topic/versions/2/ready", "/v2/nothing", "/"):
        answer = get(path)
        assert answer.status == 404
        assert answer.error
    wrong = get(INFER)
    assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
    assert wrong.error == "Method Not Allowed"


def test_size_limit_holds_before_and_after_decompression(post):
    """A body larger than requests may be is refused, packed or not."""
    large = json.dumps(request("a " * 60_000)).encode()
    for body, headers in ((large, {}), (gzip.compress(large), {"Content-Encoding": "gzip"})):
        answer = post(body, **headers)
        assert answer.status == 400
        assert answer.error == "body: is larger than the limit of 100000 bytes"


def test_compressed_requests(post):
    """A gzip body is understood; what only claims to be is refused."""
    packed = gzip.compress(json.dumps(request()).encode())
    assert post(packed, **{"Content-Encoding": "gzip"}).status == 200
    broken = post(b"no gzip", **{"Content-Encoding": "gzip"})
    assert broken.status == 400
    assert broken.error


HEAD = f"POST {INFER} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
UNREAD = {
    "no method": ("private\r\n\r\n", "read as HTTP"),
    "TLS": ("\x16\x03\x01private\r\n\r\n", "read as HTTP"),
    "header": (f"{HEAD}pri vate: \xff\r\n\r\n", "read as HTTP"),
    "length": (f"{HEAD}Content-Length: private\r\n\r\n", "read as HTTP"),
    "chunk": (f"{HEAD}Transfer-Encoding: chunked\r\n\r\nprivate\r\n", "read as HTTP"),
    "long line": (f"GET /{'private' * 2_000} HTTP/1.1\r\n\r\n", "read as HTTP"),
    "packing": (f"{HEAD}Content-Encoding: br\r\nContent-Length: 7\r\n\r\nprivate", "Encoding"),
    "expectation": (f"{HEAD}Expect: private\r\nContent-Length: 0\r\n\r\n", "Expectation Failed"),
}


def test_a_fault_of_the_caller_is_none_of_ours(http_server):
    """A body that is not what its headers say is no error in the log."""
    host, _, port = http_server.ready.inference.partition("://")[2].rpartition(":")
    sent = f"{HEAD}Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip"
    with (
        structlog.testing.capture_logs() as logs,
        socket.create_connection((host, int(port)), timeout=PATIENCE) as line,
    ):
        line.sendall(sent.encode())
        while line.recv(4_096):  # to the end: it is logged after the answer
            pass
    told = [one for one in logs if one.get("reason") == "RequestPayloadError"]
    assert {one["log_level"] for one in told} == {"debug"}  # one of an earlier line may be late


@pytest.mark.parametrize(("sent", "told"), UNREAD.values(), ids=UNREAD.keys())
def test_what_is_not_http(http_server, sent, told):
    """The answer is JSON as any other, and has neither the library's name nor what was sent."""
    host, _, port = http_server.ready.inference.partition("://")[2].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as line:
        line.sendall(sent.encode("latin1"))
        response = http.client.HTTPResponse(line)
        response.begin()
        answer = Answer(response)
    assert answer.status in (400, 417)
    assert told in answer.error
    assert answer.headers["Server"] == "polyhead"
    assert b"private" not in answer.body
    assert "private" not in str(answer.headers)


def test_request_id_and_server_name(post):
    """The caller's request id comes back with every answer, and no answer names the library."""
    for content, status in ((request(), 200), (request(""), 400)):
        answer = post(content, **{"x-request-id": "my-call"})
        assert (answer.status, answer.headers["x-request-id"]) == (status, "my-call")
        assert answer.headers["Server"] == "polyhead"


def test_metrics_and_access_count_as_calls(http_server, post):
    """Calls over HTTP are counted by method, apart from gRPC's."""
    labels = {
        "grpc_type": "http",
        "grpc_service": "inference.GRPCInferenceService",
        "grpc_method": "ModelInfer",
    }
    before = http_server.metric("grpc_server_handled_total", **labels, grpc_code="NotFound")
    post(request(), "/v2/models/mood/infer")
    after = http_server.metric("grpc_server_handled_total", **labels, grpc_code="NotFound")
    assert after == before + 1
    assert http_server.metric("grpc_server_handled_total", **labels, grpc_code="Internal") == 0


def test_every_status_has_its_place():
    """Each status that a domain error has over gRPC has one over HTTP."""
    assert set(CODES.values()) | {grpc.StatusCode.OK} == set(HTTP_STATUS)


async def test_tokens(tiny_bundle, tmp_path):
    """Inference needs a token where gRPC does; probes do not."""
    file = tmp_path / "tokens"
    file.write_text("secret\n")
    async with running(tiny_bundle, inference_http_port=0, token_file=file) as (server, _):

        async def status(method, path, **headers):
            body = json.dumps(request()) if method == "POST" else None
            return (await asyncio.to_thread(ask, server, method, path, body, headers)).status

        assert await status("POST", INFER) == 401
        for wrong in ("Bearer wrong", "secret", "Bearer s\xe9cret"):
            assert await status("POST", INFER, Authorization=wrong) == 401
        assert await status("POST", INFER, Authorization="Bearer secret") == 200
        assert await status("GET", "/v2/models/topic") == 401
        assert await status("GET", "/v2/health/ready") == 200


async def test_full_queue_timeout_and_callers_that_go_away(tiny_bundle):
    """429 with Retry-After, 504 after the request's timeout; who goes away is dropped."""
    async with running(tiny_bundle, inference_http_port=0, queue_tokens=1) as (server, _):
        gate = Gate(server)

        def infer(**fields):
            body = json.dumps(request(**fields))
            return asyncio.create_task(asyncio.to_thread(ask, server, "POST", INFER, body))

        first = infer()
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        late = await infer(parameters={"timeout": 20_000})
        assert (late.status, late.error) == (504, "the deadline passed")
        _, writer = await asyncio.open_connection(*address(server))
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: "
        body = json.dumps(request())
        writer.write(f"{head}{len(body)}\r\n\r\n{body}".encode())
        await until(lambda: primary(server).batcher.waiting_tokens > 0)
        full = await infer()
        assert full.status == 429
        assert int(full.headers["Retry-After"]) >= 1
        assert full.error.startswith("the queue is full")
        writer.close()
        value = server.metrics.registry.get_sample_value
        await until(lambda: value("polyhead_cancelled_total") == 1)
        gate.open()
        assert (await first).status == 200
        await until(lambda: value("polyhead_in_flight") == 0)


def address(server):
    host, _, port = server.ready.inference.partition("://")[2].rpartition(":")
    return host, int(port)


async def test_our_fault_is_500_without_its_text(tiny_bundle):
    """No text of a fault reaches the caller."""
    async with running(tiny_bundle, inference_http_port=0) as (server, _):

        def fail(jobs):
            raise ValueError("the secret reason")

        primary(server).batcher._threads._encode = fail
        body = json.dumps(request())
        answer = await asyncio.to_thread(ask, server, "POST", INFER, body)
        assert (answer.status, answer.error) == (500, "internal error")


async def test_drain(tiny_bundle):
    """Calls under way are answered, kept connections are told 503, new ones are refused."""
    async with running(tiny_bundle, inference_http_port=0) as (server, _):
        gate = Gate(server)
        kept = http.client.HTTPConnection(*address(server), timeout=PATIENCE)

        def on_kept(method, path, body=None):
            kept.request(method, path, body)
            return Answer(kept.getresponse())

        assert (await asyncio.to_thread(on_kept, "GET", "/v2/health/ready")).status == 200
        body = json.dumps(request())
        under_way = asyncio.create_task(asyncio.to_thread(ask, server, "POST", INFER, body))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        stopping = asyncio.create_task(server.stop())
        await until(lambda: server._calls.draining)
        ready = await asyncio.to_thread(on_kept, "GET", "/v2/health/ready")
        assert (ready.status, ready.json) == (503, {"ready": False})
        refused = await asyncio.to_thread(on_kept, "POST", INFER, body)
        assert (refused.status, refused.error) == (503, "the server is shutting down")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address(server))
        gate.open()
        assert (await under_way).status == 200
        assert await stopping is True
        kept.close()


async def test_a_head_called_like_the_model_of_all(tmp_path):
    """Its outputs are there in the model of all heads, and the log says that it has none itself."""
    heads = (dataclasses.replace(HEADS[0], name="polyhead"), HEADS[3])
    bundle = write_tiny_bundle(tmp_path / "bundle", heads=heads)
    with structlog.testing.capture_logs() as logs:
        async with running(bundle, inference_http_port=0) as (server, _):
            body = json.dumps(request())
            path = "/v2/models/polyhead/infer"
            answer = await asyncio.to_thread(ask, server, "POST", path, body)
    names = [one["name"] for one in answer.json["outputs"]]
    assert {"polyhead.label", "topic.label"} <= set(names)
    (told,) = [line for line in logs if line["event"] == "no_model_of_its_own"]
    assert (told["head"], told["log_level"]) == ("polyhead", "warning")


async def test_tls(tiny_bundle):
    """With certificate and key set HTTP has TLS, too, and mutual TLS with client authorities."""
    pair = {"tls_cert": CERTS / "certificate.pem", "tls_key": CERTS / "key.pem"}
    trusting = ssl.create_default_context(cafile=pair["tls_cert"])
    trusting.check_hostname = False

    def connection(address, **options):
        return http.client.HTTPSConnection(address, context=trusting, **options)

    def live(server):
        return ask(server, "GET", "/v2/health/live", connection=connection).status

    async with running(tiny_bundle, inference_http_port=0, **pair) as (server, _):
        assert server.ready.inference.startswith("https://")
        assert await asyncio.to_thread(live, server) == 200
    mutual = {**pair, "tls_client_ca": pair["tls_cert"]}
    async with running(tiny_bundle, inference_http_port=0, **mutual) as (server, _):
        with pytest.raises(OSError, match=r"(?i)certificate|reset|closed"):
            await asyncio.to_thread(live, server)
        trusting.load_cert_chain(pair["tls_cert"], pair["tls_key"])
        assert await asyncio.to_thread(live, server) == 200


async def test_port_in_use_and_ready_line(tiny_bundle):
    """The ready line tells the URL; a port that is taken is a clear error."""
    async with running(tiny_bundle, inference_http_port=0) as (server, _):
        assert str(server.ready).endswith(f" inference {server.ready.inference}")
        _, port = address(server)
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}"):
            await start_server(quiet_settings(tiny_bundle, inference_http_port=port))
    server = await start_server(quiet_settings(tiny_bundle, inference_http_port=port))
    await server.stop()
