"""The HTTP client against a real gateway: what it gives is what the gRPC client gives."""

import itertools
import json
import queue
import socket
import ssl
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from gateway_processes import running_gateway

from polyhead import (
    BearerToken,
    CallCancelledError,
    Client,
    DeadlineExceededError,
    Health,
    HttpClient,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RetryPolicy,
    UnauthenticatedError,
    UnavailableError,
    UnexpectedStatusError,
    UnimplementedError,
    Words,
)
from polyhead._cli._run import run
from polyhead._http import _grpc_timeout
from polyhead.testing import serve

CERTS = Path(__file__).parent / "certs"
QUICK = RetryPolicy(max_attempts=4, initial_backoff=0.001, max_backoff=0.002)
TEXT = "Apple opened 😀 a store in Berlin, and the fans loved it."


@pytest.fixture(scope="module")
def behind():
    """The service behind the gateway."""
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def url(behind, tmp_path_factory):
    """A real gateway before the service; its bodies are bounded."""
    log = tmp_path_factory.mktemp("gateway") / "log.jsonl"
    options = ("--max-request-bytes=20000", "--retries=0")
    with running_gateway(log, SimpleNamespace(address=behind.address), options=options) as gateway:
        yield gateway.address


@pytest.fixture
def client(url):
    with HttpClient(url, retry=QUICK) as made:
        yield made


def test_version(client):
    """A version goes into the address where there is no body, and into the body where there is."""
    assert client.list_tasks(bundle_version="testing-1").version == "testing-1"
    assert client.annotate("x", bundle_version="testing-1").info.bundle_version == "testing-1"
    with pytest.raises(NotFoundError, match="'2 & 3' is not loaded"):
        client.list_tasks(bundle_version="2 & 3")
    (outcome,) = client.annotate_stream(["x"], bundle_version="testing-1")
    assert outcome.annotation is not None


@pytest.fixture
def direct(behind):
    with Client(behind.address, retry=QUICK) as made:
        yield made


@contextmanager
def answering(*answers):
    """A server that gives fixed bytes, one answer a request, each on a new connection if None."""
    requests = queue.SimpleQueue()
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()

    def work():
        rest = iter(answers)
        answer = next(rest, None)
        while answer is not None:
            link, _ = listener.accept()
            with link:
                while answer is not None and (request := link.recv(65536)):
                    requests.put(request)
                    link.sendall(answer)
                    answer = next(rest, None)
                    if answer is CLOSE:
                        answer = next(rest, None)
                        break

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield SimpleNamespace(url=f"http://{host}:{port}", requests=requests)
    finally:
        thread.join(10)
        listener.close()


CLOSE = b""
TASKS = b'{"bundleName": "b", "bundleVersion": "1", "limits": {"maxDocuments": 4, "later": 1}}'


def reply(body, status="200 OK", *headers):
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("unit", ["code_point", "utf8_byte", "utf16"])
def test_the_same_results(client, direct, unit):
    """Documents, words, tasks and offset units give the very results of gRPC."""
    assert client.annotate(TEXT, offset_unit=unit) == direct.annotate(TEXT, offset_unit=unit)
    documents = [TEXT, Words(["New York", "😀", "wins"])]
    many = client.annotate_many(documents, ["pos", "topic"], offset_unit=unit)
    assert many == direct.annotate_many(documents, ["pos", "topic"], offset_unit=unit)
    assert many.info.offset_unit == unit
    assert many.info.bundle_version == "testing-1"
    assert many.info.timings.encode > 0


def test_tasks_and_health(client, direct):
    """The bundle, its limits and the server's health are the same."""
    assert client.list_tasks() == direct.list_tasks()
    client.wait_ready(timeout=10)
    assert client.health() is Health.SERVING


def test_request_ids(client, behind):
    """The caller's request id reaches the server, and is that of the answer."""
    assert client.annotate("x", ["topic"], request_id="mine-1").info.request_id == "mine-1"
    assert behind.calls[-1].metadata["x-request-id"] == "mine-1"


def test_a_stream(client, direct):
    """Bulk work of any length gives the same outcomes in order, errors of items included."""
    items = [f"text {number} in Berlin {'so ' * (number % 40)}" for number in range(700)]
    items[100], items[333], items[350] = " ", "", Words([])
    found = list(client.annotate_stream(items, ["topic", "entities"], ordered=True))
    wanted = list(direct.annotate_stream(items, ["topic", "entities"], ordered=True))
    assert [outcome.annotation for outcome in found] == [o.annotation for o in wanted]
    errors = [str(outcome.error) for outcome in found if outcome.error]
    assert errors == [str(outcome.error) for outcome in wanted if outcome.error]
    assert len(errors) == 3
    assert sorted(outcome.index for outcome in client.annotate_stream(items, ["topic"])) == list(
        range(700)
    )


def test_an_endless_stream_can_be_left(client):
    """A stream is lazy, and leaving it ends it."""
    outcomes = client.annotate_stream((f"text {n}" for n in itertools.count()), ["topic"])
    assert len(list(itertools.islice(outcomes, 300))) == 300
    outcomes.close()


def test_a_stream_over_a_gateway_with_small_bodies(client):
    """Messages larger than the gateway takes are split; an item that is too large fails alone."""
    items = ["word " * 1000] * 30 + ["long " * 5000] + ["word " * 1000]
    outcomes = list(client.annotate_stream(items, ["topic"], ordered=True))
    assert [outcome.error is None for outcome in outcomes] == [True] * 30 + [False, True]
    assert isinstance(outcomes[30].error, OverloadedError)


def test_errors_have_their_details(client):
    """google.rpc.Status in JSON becomes the same error as over gRPC."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.annotate_many(["fine", " "], request_id="bad-1")
    assert caught.value.violations[0].field == "documents[1].text"
    assert caught.value.request_id == "bad-1"
    with pytest.raises(InvalidArgumentError, match="no such task: 'nope'"):
        client.annotate("x", ["nope"])
    with pytest.raises(InvalidArgumentError, match="no such task: 'nope'"):
        list(client.annotate_stream(["x"], ["nope"]))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("UNAUTHENTICATED", UnauthenticatedError),
        ("PERMISSION_DENIED", PermissionDeniedError),
        ("RESOURCE_EXHAUSTED", OverloadedError),
        ("UNIMPLEMENTED", UnimplementedError),
        ("INTERNAL", InternalError),
        ("ABORTED", UnexpectedStatusError),
    ],
)
def test_every_status(client, behind, code, error):
    """Each status code is its own class, of single calls and of streams, and is not retried."""
    for call in (client.annotate, lambda text: list(client.annotate_stream([text]))):
        behind.fail(1, code, "said so")
        before = len([c for c in behind.calls if c.method != "ListTasks"])
        with pytest.raises(error, match="said so"):
            call("x")
        assert len([c for c in behind.calls if c.method != "ListTasks"]) == before + 1


def test_what_can_pass_is_tried_again(client, behind):
    """Retries are those of the gRPC client, of single calls and of streams."""
    behind.fail(2, "UNAVAILABLE")
    behind.fail(1, "RESOURCE_EXHAUSTED", retry_after=0.01)
    assert client.annotate("I love it").classification("sentiment").label == "positive"
    behind.fail(2, "UNAVAILABLE", method="AnnotateStream")
    texts = [f"text {number}" for number in range(300)]
    outcomes = client.annotate_stream(texts, ["topic"], ordered=True)
    assert [outcome.index for outcome in outcomes if outcome.annotation] == list(range(300))


@pytest.mark.parametrize(
    ("seconds", "header"),
    [
        (1e-9, "1m"),
        (0.5, "500m"),
        (99_999.999, "99999999m"),
        (100_000, "100000S"),
        (1e9, "99999999S"),
    ],
)
def test_the_header_of_a_deadline(seconds, header):
    """Eight digits of a unit that is fine enough; a gateway may have a nearer limit."""
    assert _grpc_timeout(seconds) == header


def test_deadlines(client, behind):
    """A call ends in time, and its server is told when."""
    with behind.hold(), pytest.raises(DeadlineExceededError):
        client.annotate("x", timeout=0.1)
    assert behind.calls[-1].seconds_left <= 0.1
    with behind.hold(), pytest.raises(DeadlineExceededError, match=r"no answer for 0\.1 seconds"):
        list(client.annotate_stream(["x"], timeout=0.1))


def test_threads_share_a_client(client):
    """Calls from many threads at once do not disturb each other."""
    found = {}

    def work(number):
        found[number] = client.annotate(f"{number} loves Berlin", ["pos"]).tagging("pos")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number].words[0].text == str(number) for number in range(12))


def test_closing(url, behind):
    """Closing fails the calls that run as cancelled; a closed client refuses to call."""
    client = HttpClient(url)
    failed = queue.SimpleQueue()

    def work():
        try:
            client.annotate("x")
        except CallCancelledError as error:
            failed.put(error)

    thread = threading.Thread(target=work)
    with behind.hold():
        thread.start()
        behind.wait_held()
        client.close()
        thread.join(10)
    assert failed.get(timeout=10).code == "CANCELLED"
    with pytest.raises(RuntimeError, match="closed"):
        client.annotate("x")


def test_a_place_where_nothing_is(client, url):
    """What is no API says what it is."""
    with HttpClient(f"{url}/elsewhere", retry=QUICK) as lost, pytest.raises(UnexpectedStatusError):
        lost.annotate("x")
    with HttpClient("http://127.0.0.1:1", retry=QUICK) as nobody:
        with pytest.raises(UnavailableError, match="refused"):
            nobody.annotate("x")
        with pytest.raises(DeadlineExceededError, match="not ready"):
            nobody.wait_ready(timeout=0.01)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (reply(b"<html>"), InternalError, "not that of a polyhead gateway"),
        (reply(b"<html>", "404 Not Found"), UnimplementedError, "HTTP 404 Not Found"),
        (reply(b"", "302 Found"), InternalError, "HTTP 302 Found"),
        (reply(b'{"code": 99}', "500 Oh"), InternalError, "UNKNOWN"),
        (
            reply(b'{"code": 7, "message": "m", "details": [{"@type": "x/y"}, 1]}', "403 No"),
            PermissionDeniedError,
            "m",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nearly", UnavailableError, "ended early"),
        (b"nonsense\r\n\r\n", UnavailableError, "^what answered does not speak HTTP$"),
        (b"HTTP/9\x00 200 OK\r\n\r\n", UnavailableError, "^what answered does not speak HTTP$"),
    ],
)
def test_other_servers(answer, error, message):
    """Answers of whatever else may be at a URL become errors, never exceptions of a library."""
    with (
        answering(answer) as server,
        HttpClient(server.url, retry=RetryPolicy(max_attempts=1)) as client,
        pytest.raises(error, match=message),
    ):
        client.list_tasks()


def test_a_header_says_when_to_come_back():
    """A proxy's Retry-After is heeded where its answer has no details."""
    full = reply(b"", "429 Slow Down", "Retry-After: 0.01")
    dated = reply(b"", "429 Slow Down", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT")
    with answering(full, reply(TASKS), dated) as server, HttpClient(server.url) as client:
        assert client.list_tasks().limits.max_documents == 4
        with pytest.raises(OverloadedError) as caught:
            client.list_tasks()
        assert caught.value.retry_after is None


def test_a_kept_connection_that_was_closed_is_replaced():
    """A server that closes idle connections costs nobody a call, nor a retry."""
    once = RetryPolicy(max_attempts=1)
    with (
        answering(reply(TASKS), CLOSE, reply(TASKS)) as server,
        HttpClient(server.url + "/under/", retry=once, headers={"x-api-key": "k"}) as client,
    ):
        for _ in range(2):
            assert client.list_tasks().version == "1"
            request = server.requests.get(timeout=10)
            assert request.startswith(b"GET /under/v1/tasks HTTP/1.1\r\n")
            assert b"x-api-key: k" in request


def test_tokens_travel_over_https_only():
    """A token is refused over http unless allowed, and sent where it is."""
    with pytest.raises(ValueError, match="needs TLS"):
        HttpClient("http://localhost:1", token="t0ken")  # noqa: S106 - of this test
    HttpClient("https://localhost:1", token="t0ken").close()  # noqa: S106 - as above
    token = BearerToken("t0ken", allow_insecure=True)
    with answering(reply(TASKS)) as server, HttpClient(server.url, token=token) as client:
        client.list_tasks()
        assert b"authorization: Bearer t0ken\r\n" in server.requests.get(timeout=10)


@pytest.mark.parametrize(
    "wrong",
    [
        *("localhost:8080", "ftp://x", "http://", "http://a:b@c", "http://a?b"),
        *("http://a b", "http://a\x00b", "http://a..b", "http://a/b c", "http://a/ü"),
    ],
)
def test_urls(wrong):
    """What is no plain URL is refused at once."""
    with pytest.raises(ValueError, match="URL"):
        HttpClient(wrong)


def test_names_that_are_not_ascii():
    """A host may have a name in any script."""
    HttpClient("http://münchen.example/a%20b").close()


@pytest.mark.parametrize(
    "headers",
    [
        *({"x": "a\nb"}, {"x": "a\r\n b"}, {"x": "a\x00"}, {"x": "π"}, {"x": None}),
        *({"": "a"}, {"x y": "a"}, {"x:": "a"}, {"x\n": "a"}, {"ü": "a"}),
    ],
)
def test_headers(headers):
    """What HTTP cannot carry is refused at once, and values, which may be keys, are not shown."""
    with pytest.raises(ValueError, match="header") as caught:
        HttpClient(headers=headers)
    assert repr(headers.get("x")) not in str(caught.value)


def test_headers_that_fit():
    """Values of Latin-1 with spaces and tabs are sent."""
    with (
        answering(reply(TASKS)) as server,
        HttpClient(server.url, headers={"X-Who": "Ü and\tI"}) as client,
    ):
        client.list_tasks()
        assert "X-Who: Ü and\tI\r\n".encode("latin-1") in server.requests.get(timeout=10)


def test_a_server_that_speaks_grpc(behind):
    """The port of a gRPC server is told from one where nobody is, without what it sends."""
    url = f"http://{behind.address}"
    with HttpClient(url, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(UnavailableError, match="what answered does not speak HTTP"):
            client.annotate("x")
        with pytest.raises(UnavailableError, match="what answered does not speak HTTP"):
            client.health()


@pytest.mark.parametrize("seconds", [3e6, 1e10, sys.maxsize])
def test_a_very_long_time_is_no_deadline(client, seconds):
    """A time that no socket counts to is as good as infinity."""
    assert client.annotate("x", timeout=seconds).windows == 1
    assert len(list(client.annotate_stream(["x", "y"], timeout=seconds))) == 2
    client.wait_ready(timeout=seconds)


def test_tasks_come_from_any_iterable(client):
    """Names that can be read once only are all sent."""
    assert list(client.annotate("x", iter(["pos"]))) == ["pos"]
    (outcome,) = client.annotate_stream(["x"], iter(["pos"]))
    assert list(outcome.unwrap()) == ["pos"]


def test_https(tmp_path, behind):
    """TLS is checked against the authorities given."""
    log = tmp_path / "log.jsonl"
    options = ("--tls-cert", CERTS / "certificate.pem", "--tls-key", CERTS / "key.pem")
    behind_it = SimpleNamespace(address=behind.address)
    with running_gateway(log, behind_it, options=options) as gateway:
        url = gateway.address.replace("127.0.0.1", "localhost")
        trusting = ssl.create_default_context(cafile=CERTS / "certificate.pem")
        with HttpClient(url, tls=trusting) as client:
            assert client.annotate("I love it").classification("sentiment").label == "positive"
        with (
            HttpClient(url, retry=QUICK) as wary,
            pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            wary.annotate("x")


def test_the_command(url, direct, capfd, monkeypatch, tmp_path):
    """The command `polyhead` calls a gateway where it is given a URL."""
    for name in ("POLYHEAD_TOKEN", "POLYHEAD_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    table, errors = tmp_path / "in.csv", tmp_path / "bad.jsonl"
    table.write_text("text\n" + '"I love Berlin"\n" "\n' * 200)
    output = ["--output", str(tmp_path / "out.jsonl"), "--errors", str(errors)]
    assert run(["annotate", str(table), "--url", url, *output]) == 1
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    wanted = direct.annotate("I love Berlin").to_dict()["results"]
    assert [row.get("results") for row in rows] == [wanted, None] * 200
    assert (
        json.loads(errors.read_text().splitlines()[0])["message"] == "must hold at least one word"
    )
    assert run(["health", "--url", url]) == 0
    assert run(["tasks", "--url", url]) == 0
    assert capfd.readouterr().out.startswith(f"{url} is serving\nbundle testing testing-1")
    assert run(["annotate", "x", "--url", "http://127.0.0.1:1"]) == 3
    assert run(["annotate", "x", "--url", "nowhere"]) == 2
    assert run(["annotate", "x", "--url", url, "--tls"]) == 2
    complaints = capfd.readouterr().err.splitlines()
    assert complaints[0].startswith("polyhead: no server can be reached at http://127.0.0.1:1: ")
    assert "URL" in complaints[1]
    assert "https://" in complaints[2]


def test_the_command_sends_its_api_key(monkeypatch, capfd):
    """POLYHEAD_API_KEY goes to the gateway as the header that it asks for."""
    monkeypatch.setenv("POLYHEAD_API_KEY", "k3y")
    with answering(reply(TASKS)) as server:
        assert run(["tasks", "--url", server.url]) == 0
        assert b"x-api-key: k3y\r\n" in server.requests.get(timeout=10)
