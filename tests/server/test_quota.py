"""What each client may use: calls and code points a second, time, and connections."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import urllib.error
import urllib.request

import grpc
import pytest
from background_server import PATIENCE, SERVICE, BackgroundServer, details, running, until
from google.rpc.error_details_pb2 import QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status
from test_security_tokens import bearer

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server.errors import RateExceededError, SettingsError
from polyhead_server.options import SERVE
from polyhead_server.security.rates import Quota, Rates
from polyhead_server.settings import Settings

NEVER = 1e-6
"""A rate at which nothing comes back while a test runs."""


class Clock:
    """Goes when it is told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def calls_quota(rate=2.0, burst=4.0):
    return Quota("client_calls", "calls", rate, burst)


def chars_quota(rate=10.0, burst=30.0):
    return Quota("client_chars", "characters", rate, burst)


def test_a_bucket_fills_again():
    """A burst is let in, then as many as come back, each client for itself."""
    clock = Clock()
    rates = Rates(calls_quota(), None, clock=clock)
    for _ in range(4):
        rates.take("a", calls=1)
    with pytest.raises(RateExceededError, match="2 calls a second") as caught:
        rates.take("a", calls=1)
    assert caught.value.retry_after == pytest.approx(0.5)
    rates.take("b", calls=1)
    clock.now += 0.5
    rates.take("a", calls=1)
    with pytest.raises(RateExceededError):
        rates.take("a", calls=1)
    clock.now += 100
    for _ in range(4):
        rates.take("a", calls=1)
    with pytest.raises(RateExceededError):
        rates.take("a", calls=1)


def test_more_than_a_bucket_holds():
    """A large request needs a full bucket, and is owed for afterwards."""
    clock = Clock()
    rates = Rates(None, chars_quota(), clock=clock)
    rates.take("a", chars=300)
    with pytest.raises(RateExceededError) as caught:
        rates.take("a", chars=1)
    assert caught.value.retry_after == pytest.approx(27.1)
    clock.now += 27.2
    rates.take("a", chars=1)


def test_a_refusal_uses_nothing():
    """What one quota refuses is not taken from the other."""
    refused = []
    clock = Clock()
    rates = Rates(calls_quota(), chars_quota(), clock=clock, refused=refused.append)
    rates.take("a", chars=30)
    for _ in range(9):
        with pytest.raises(RateExceededError):
            rates.take("a", calls=1, chars=1)
    rates.take("a", calls=4)
    assert refused == ["client_chars"] * 9


def test_turns():
    """Streams wait in turn, as long as it takes for what was used before them to come back."""
    rates = Rates(calls_quota(), chars_quota(), clock=Clock())
    assert rates.reserve("a", calls=1, chars=30, within=9.0) == 0
    assert rates.reserve("a", calls=1, chars=10, within=9.0) == pytest.approx(1.0)
    assert rates.reserve("a", calls=1, chars=10, within=9.0) == pytest.approx(2.0)
    with pytest.raises(RateExceededError):
        rates.reserve("a", calls=1, chars=10, within=2.9)
    assert rates.reserve("a", calls=1, chars=10, within=3.1) == pytest.approx(3.0)
    assert rates.reserve("b", calls=1, chars=10, within=0.0) == 0


def test_turns_that_are_given_back():
    """Others come earlier then; what nobody knows any more is no matter."""
    rates = Rates(calls_quota(), chars_quota(), clock=Clock())
    rates.take("a", calls=1, chars=30)
    for turn in range(1, 5):
        wait = rates.reserve("a", calls=1, chars=10, within=9.0)
        assert wait == pytest.approx(turn)
    for _ in range(4):
        rates.give_back("a", calls=1, chars=10)
    assert rates.reserve("a", calls=1, chars=10, within=9.0) == pytest.approx(1.0)
    rates.give_back("nobody", calls=1, chars=10)
    assert rates.reserve("nobody", calls=1, chars=30, within=0.0) == 0


def test_the_table_of_clients_is_bounded():
    """However many clients there are, the one that was quiet for longest is forgotten."""
    rates = Rates(calls_quota(), None, clock=Clock(), most_clients=100)
    for number in range(1000):
        rates.take("always", calls=0)
        rates.take(f"client {number}", calls=1)
    assert len(rates) == 100


def test_networks_of_version_6():
    """Addresses of one network are one client: everybody has 2 to the 64 of them."""
    rates = Rates(calls_quota(burst=1.0), None, clock=Clock())
    rates.take("[2001:db8:1:2::1]", calls=1)
    with pytest.raises(RateExceededError):
        rates.take("[2001:db8:1:2:ffff::9%eth0]", calls=1)
    rates.take("[2001:db8:1:3::1]", calls=1)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"client_rate": -1.0}, "client_rate: -1.0 is less than 0"),
        ({"client_burst": 3.0}, "client_burst: needs client_rate"),
        ({"client_rate": 1.0, "client_burst": 0.5}, "client_burst: 0.5 is less than 1"),
        ({"client_chars_burst": 3.0}, "client_chars_burst: needs client_chars_per_second"),
        ({"max_deadline": -1.0}, "max_deadline: -1.0 is less than 0"),
        ({"max_connections": -1}, "max_connections: -1 is less than 0"),
    ],
)
def test_wrong_settings(settings, problem):
    """Bounds that make no sense are told."""
    with pytest.raises(SettingsError, match=problem):
        Settings(**settings)


def test_settings_reach_workers(tmp_path):
    """What a worker is given as flags builds the same settings."""
    key = tmp_path / "key"
    key.write_text("k")
    settings = Settings(
        client_rate=1.5,
        client_burst=3.0,
        client_chars_per_second=9.0,
        max_deadline=4.0,
        max_connections=7,
        jwt_keys=key,
        jwt_algorithms=("ES256", "PS512"),
        jwt_issuer="a, b",
        bundle_key=key,
    )
    assert SERVE.read(SERVE.flags(settings), {}) == settings


def request(text="the fans"):
    return pb.AnnotateRequest(documents=[{"text": text}], tasks=["pos"])


def one_item(text):
    return pb.AnnotateStreamRequest(items=[{"id": "1", "document": {"text": text}}], tasks=["pos"])


async def refused(call) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return caught.value


async def test_calls(tiny_bundle, tmp_path):
    """A client that calls too often is told when to come back; others, and probes, are not held."""
    (tmp_path / "tokens").write_text("a token-a\nb token-b\n")
    settings = {"client_rate": NEVER, "client_burst": 2.0, "token_file": tmp_path / "tokens"}
    async with running(tiny_bundle, **settings) as (server, stub):
        for _ in range(2):
            await stub.Annotate(request(), timeout=PATIENCE, metadata=bearer("token-a"))
        error = await refused(
            stub.Annotate(request(), timeout=PATIENCE, metadata=bearer("token-a"))
        )
        info = details(error)
        assert info[RetryInfo].retry_delay.seconds > 1000
        (violation,) = quota_of(error).violations
        assert violation.subject == "token:a"
        assert violation.description == error.details()
        await stub.Annotate(request(), timeout=PATIENCE, metadata=bearer("token-b"))
        registry = server.metrics.registry
        sample = registry.get_sample_value("polyhead_refused_total", {"reason": "client_calls"})
        assert sample == 1
        samples = [sample for metric in registry.collect() for sample in metric.samples]
        assert "token:a" not in str(samples)


def quota_of(error: grpc.RpcError) -> QuotaFailure:
    trailers = dict(tuple(error.trailing_metadata()))
    failure = QuotaFailure()
    for packed in Status.FromString(trailers["grpc-status-details-bin"]).details:
        if packed.Is(failure.DESCRIPTOR):
            packed.Unpack(failure)
    return failure


async def test_code_points(tiny_bundle):
    """Text is counted, whatever number of calls it comes in, words that the caller split too."""
    settings = {"client_chars_per_second": NEVER, "client_chars_burst": 10.0}
    async with running(tiny_bundle, **settings) as (_, stub):
        await stub.Annotate(request("123456"), timeout=PATIENCE)
        words = pb.AnnotateRequest(documents=[{"words": {"words": ["the", "fans"]}}], tasks=["pos"])
        await refused(stub.Annotate(words, timeout=PATIENCE))
        await stub.Annotate(request("1234"), timeout=PATIENCE)
        await stub.ListTasks(pb.ListTasksRequest(), timeout=PATIENCE)
        await refused(stub.Annotate(request("1"), timeout=PATIENCE))


def test_over_http(tiny_bundle):
    """Inference over HTTP has the same quotas, as 429 with Retry-After."""
    server = BackgroundServer(
        tiny_bundle, client_rate=NEVER, client_burst=1.0, inference_http_port=0
    )
    try:
        assert infer(server.ready.inference) == 200
        with pytest.raises(urllib.error.HTTPError) as caught:
            infer(server.ready.inference)
        with caught.value as error:
            assert error.code == 429
            assert int(error.headers["Retry-After"]) > 1000
        ready = f"{server.ready.inference}/v2/health/ready"
        with urllib.request.urlopen(ready, timeout=PATIENCE) as answer:  # noqa: S310 - our own
            assert answer.status == 200
    finally:
        server.close()


def infer(url: str) -> int:
    inputs = [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["the fans"]}]
    body = json.dumps({"inputs": inputs}).encode()
    url = f"{url}/v2/models/pos/infer"
    with urllib.request.urlopen(url, body, timeout=PATIENCE) as answer:  # noqa: S310 - our own
        return answer.status


STREAM = {"grpc_type": "bidi_stream", "grpc_service": SERVICE, "grpc_method": "AnnotateStream"}


async def test_streams_wait(tiny_bundle):
    """Messages of a stream are held back until their turn comes, not refused."""
    loop = asyncio.get_running_loop()
    settings = {"client_chars_per_second": 20.0, "client_chars_burst": 10.0}
    message = one_item("1234567890")
    async with running(tiny_bundle, **settings) as (_, stub):
        start = loop.time()
        answers = [
            answer async for answer in stub.AnnotateStream(iter([message] * 3), timeout=PATIENCE)
        ]
        assert loop.time() - start > 0.9
        assert [answer.outcomes[0].WhichOneof("outcome") for answer in answers] == [
            "annotation"
        ] * 3


async def test_what_a_stream_left_waiting_is_not_used_up(tiny_bundle):
    """Who goes while messages wait for their turn does not stand behind them on coming back."""
    settings = {"client_chars_per_second": 20.0, "client_chars_burst": 10.0}
    message = one_item("1234567890")
    async with running(tiny_bundle, **settings) as (server, stub):
        call = stub.AnnotateStream(iter([message] * 200))
        await call.read()  # the last one's turn is in 100 seconds
        count = server.metrics.registry.get_sample_value
        await until(lambda: count("grpc_server_msg_received_total", STREAM) == 200)
        call.cancel()
        await until(lambda: count("polyhead_in_flight") == 0)
        again = stub.AnnotateStream(iter([message]), timeout=PATIENCE)
        (answer,) = [answer async for answer in again]
        assert answer.outcomes[0].WhichOneof("outcome") == "annotation"


async def test_streams_do_not_wait_for_nothing(tiny_bundle):
    """A message whose turn would come past the deadline is told so at once."""
    settings = {"client_chars_per_second": NEVER, "client_chars_burst": 10.0}
    async with running(tiny_bundle, **settings) as (_, stub):
        call = stub.AnnotateStream(iter([one_item("1234567890")] * 2), timeout=PATIENCE)
        codes = [answer.outcomes[0].error.code async for answer in call]
    assert sorted(codes) == [0, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]]


async def test_a_drain_does_not_wait_for_held_messages(tiny_bundle):
    """What is held back when the server stops is left unanswered, as if it was never read."""
    settings = {"client_chars_per_second": NEVER, "client_chars_burst": 10.0}
    message = one_item("1234567890")
    async with running(tiny_bundle, **settings) as (server, stub):
        call = stub.AnnotateStream()
        await call.write(message)
        await call.read()
        await call.write(message)
        count = server.metrics.registry.get_sample_value
        await until(lambda: count("grpc_server_msg_received_total", STREAM) == 2)
        assert await server.stop()
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_time(tiny_bundle):
    """A stream ends at the bound, whatever its own deadline; what was read is answered."""
    message = one_item("the fans")
    async with running(tiny_bundle, max_deadline=0.5) as (_, stub):
        call = stub.AnnotateStream(timeout=PATIENCE)
        await call.write(message)
        assert (await call.read()).outcomes[0].WhichOneof("outcome") == "annotation"
        with pytest.raises(grpc.RpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await stub.Annotate(request(), timeout=PATIENCE)


async def test_connections(tiny_bundle):
    """Beyond the bound nobody gets a connection until one ends; those there are go on."""
    async with running(tiny_bundle, max_connections=2) as (server, stub):
        await stub.Annotate(request(), timeout=PATIENCE)
        apart = (("grpc.use_local_subchannel_pool", 1),)
        address = server.ready.address
        async with grpc.aio.insecure_channel(address, options=apart) as second:
            await AnnotationServiceStub(second).Annotate(request(), timeout=PATIENCE)
            # No channel: one that was refused may come back after it was closed, and take the room.
            third, writer = await asyncio.open_connection(*address.rsplit(":", 1))
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(third.read(), PATIENCE) == b""
            writer.close()
            await stub.Annotate(request(), timeout=PATIENCE)
        async with grpc.aio.insecure_channel(address, options=apart) as next_one:
            await AnnotationServiceStub(next_one).Annotate(
                request(), timeout=PATIENCE, wait_for_ready=True
            )


def test_connections_over_http(tiny_bundle):
    """One too many is closed at once; those there are go on, and one that ends makes room."""
    server = BackgroundServer(tiny_bundle, max_connections=2, inference_http_port=0)
    try:
        address = server.ready.inference.removeprefix("http://")
        kept = [http.client.HTTPConnection(address, timeout=PATIENCE) for _ in range(2)]
        assert [ask(connection) for connection in kept] == [200, 200]
        third = http.client.HTTPConnection(address, timeout=PATIENCE)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(third)
        third.close()
        assert [ask(connection) for connection in kept] == [200, 200]
        kept[0].close()
        while not answered(address):
            pass
        kept[1].close()
    finally:
        server.close()


def ask(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/v2/health/live")
    with connection.getresponse() as answer:
        answer.read()
        return answer.status


def answered(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    try:
        return ask(connection) == 200
    except (http.client.HTTPException, ConnectionError):
        return False
    finally:
        connection.close()
