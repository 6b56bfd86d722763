"""Where clients connect, and what they show on the way.

The certificate in certs/ is for localhost, signed by itself, and of use to these tests only.
"""

from pathlib import Path

import pytest

from polyhead import TLS, BearerToken, ChannelOptions, Client, UnavailableError
from polyhead._channel import connection, parse_target, token_metadata
from polyhead.testing import ServerTLS, serve

CERTS = Path(__file__).parent / "certs"
CERTIFICATE = (CERTS / "certificate.pem").read_bytes()
KEY = (CERTS / "key.pem").read_bytes()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("localhost:50051", "localhost:50051"),
        ("model.internal:1", "model.internal:1"),
        ("[::1]:50051", "[::1]:50051"),
        ("10.0.0.1:1, 10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2"),
        ("localhost:1,localhost:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
        ("[::1]:1,[::2]:2", "ipv6:[::1]:1,[::2]:2"),
        ("dns:///model.internal:1", "dns:///model.internal:1"),
        ("unix:/run/polyhead.sock", "unix:/run/polyhead.sock"),
    ],
)
def test_targets_are_understood(target, expected):
    """One address, a list of addresses, or a target of grpc's own."""
    assert parse_target(target) == expected


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("", "HOST:PORT"),
        ("localhost", "HOST:PORT"),
        ("localhost:99999", "HOST:PORT"),
        ("a:1,,b:2", "HOST:PORT"),
        ("one.example:1,two.example:2", "dns:///NAME:PORT"),
        ("10.0.0.1:1,[::1]:2", "all IPv4 or all IPv6"),
    ],
)
def test_other_targets_are_refused(connect, target, complaint):
    """A target that would fail later fails at once, and says why."""
    with pytest.raises(ValueError, match=complaint):
        connect(target)


def test_the_channel_is_set_up_deliberately():
    """Round robin, message limits and keepalive are always set; no proxy between us and us."""
    options = dict(connection("localhost:1", None, ChannelOptions(max_send_bytes=7)).options)
    assert "round_robin" in options["grpc.service_config"]
    assert options["grpc.max_send_message_length"] == 7
    assert options["grpc.max_receive_message_length"] == 128 * 2**20
    assert options["grpc.keepalive_time_ms"] == 30_000
    assert options["grpc.enable_http_proxy"] == 0
    far = dict(connection("model.internal:1", None, ChannelOptions()).options)
    assert "grpc.enable_http_proxy" not in far


def test_tls_and_a_token(connect):
    """Over TLS the token is sent and the server is checked against the authority given."""
    tls = ServerTLS(CERTIFICATE, KEY)
    with serve(tls=tls, token="t0ken") as service:  # noqa: S106
        client = connect(service.address, tls=TLS(ca=CERTIFICATE), token="t0ken")  # noqa: S106
        assert client.annotate("I love it").classification("sentiment").label == "positive"
        with pytest.raises(UnavailableError):
            connect(service.address, tls=TLS(), timeout=2).annotate("x")


def test_mutual_tls(connect):
    """A server that asks for a client's certificate gets it."""
    with serve(tls=ServerTLS(CERTIFICATE, KEY, client_ca=CERTIFICATE)) as service:
        known = TLS(ca=CERTIFICATE, certificate=CERTIFICATE, key=KEY)
        assert connect(service.address, tls=known).annotate("x").windows == 1
        with pytest.raises(UnavailableError):
            connect(service.address, tls=TLS(ca=CERTIFICATE), timeout=2).annotate("x")


def test_a_server_name_of_its_own(connect):
    """A list of addresses can be checked against the name in the certificate."""
    with serve(tls=ServerTLS(CERTIFICATE, KEY)) as service:
        target = f"{service.address},{service.address}"
        tls = TLS(ca=CERTIFICATE, server_name="localhost")
        assert connect(target, tls=tls).annotate("x").windows == 1


def test_a_token_does_not_travel_in_the_clear(connect):
    """Without TLS a token is refused, unless that is allowed in so many words."""
    with pytest.raises(ValueError, match="needs TLS"):
        connect("localhost:1", token="t0ken")  # noqa: S106
    with serve(token="t0ken") as service:  # noqa: S106
        token = BearerToken("t0ken", allow_insecure=True)
        assert connect(service.address, token=token).annotate("x").windows == 1


def test_secrets_are_not_shown():
    """Neither a token nor a key is in what a log may print."""
    assert "t0ken" not in repr(BearerToken("t0ken"))
    assert "PRIVATE" not in repr(TLS(certificate=CERTIFICATE, key=KEY))


@pytest.mark.parametrize("value", ["", "two words", "line\nbreak", "ümlaut"])
def test_a_token_is_checked(value):
    """A token that no header can carry is refused without being shown."""
    with pytest.raises(ValueError, match="visible ASCII") as caught:
        token_metadata(value, TLS())
    assert not value or value not in str(caught.value)


def test_options_are_checked():
    """Half a key pair and a timeout of nothing are refused."""
    with pytest.raises(ValueError, match="together"):
        TLS(key=KEY)
    with pytest.raises(ValueError, match="timeout"):
        Client(timeout=0)
