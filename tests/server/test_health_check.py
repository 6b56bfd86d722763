"""polyhead-server check: the exit code tells a probe whether a server serves."""

from __future__ import annotations

from pathlib import Path

import pytest
from background_server import BackgroundServer

from polyhead_server.cli import main

CERTS = Path(__file__).parents[1] / "client" / "certs"
CERT, KEY = CERTS / "certificate.pem", CERTS / "key.pem"
NOWHERE = "127.0.0.1:1"
SERVICE = "polyhead.v1.AnnotationService"


def port_of(server):
    return server.ready.address.rpartition(":")[2]


@pytest.fixture
def secured(tiny_bundle, request):
    """A server with TLS, and with client certificates where a test asks for them."""
    server = BackgroundServer(tiny_bundle, tls_cert=CERT, tls_key=KEY, **request.param)
    yield server
    server.close()


@pytest.mark.parametrize("service", ["", SERVICE])
def test_a_server_that_serves(server, service, capsys):
    """It ends with 0 and says nothing, for the whole and for one service."""
    assert main(["check", "--address", server.ready.address, "--service", service]) == 0
    assert capsys.readouterr() == ("", "")


def test_whom_to_ask_is_in_the_environment(server, monkeypatch):
    """Without flags it asks the server that the environment describes, at its local address."""
    monkeypatch.setenv("POLYHEAD_HOST", "0.0.0.0")  # noqa: S104 - as in a container
    monkeypatch.setenv("POLYHEAD_PORT", port_of(server))
    assert main(["check"]) == 0


def test_nobody_there(capsys):
    """It ends with 1 and one line."""
    assert main(["check", "--address", NOWHERE]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"polyhead-server: {NOWHERE}: UNAVAILABLE")


def test_a_service_that_is_not_there(server, capsys):
    """It is not healthy."""
    assert main(["check", "--address", server.ready.address, "--service", "no.Such"]) == 1
    assert "NOT_FOUND" in capsys.readouterr().err


def test_a_gateway_by_its_variables(server, monkeypatch, capsys):
    """--gateway asks where the gateway's variables say that it listens."""
    monkeypatch.setenv("POLYHEAD_GATEWAY_LISTEN", f"0.0.0.0:{port_of(server)}")
    assert main(["check", "--gateway"]) == 0
    monkeypatch.setenv("POLYHEAD_GATEWAY_LISTEN", NOWHERE)
    assert main(["check", "--gateway"]) == 1
    assert NOWHERE in capsys.readouterr().err


@pytest.mark.parametrize(
    "secured", [{}, {"tls_client_ca": CERT}], indirect=True, ids=["tls", "mtls"]
)
def test_with_tls(secured, monkeypatch, capsys):
    """The server's own certificate is trusted, whatever its names; it is shown if need be."""
    monkeypatch.setenv("POLYHEAD_PORT", port_of(secured))
    assert main(["check"]) == 1
    monkeypatch.setenv("POLYHEAD_TLS_CERT", str(CERT))
    monkeypatch.setenv("POLYHEAD_TLS_KEY", str(KEY))
    if secured.settings.tls_client_ca:
        monkeypatch.setenv("POLYHEAD_TLS_CLIENT_CA", str(CERT))
    assert main(["check"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize("secured", [{}], indirect=True)
def test_the_name_in_the_certificate_counts(secured, capsys):
    """For a given address the certificate must be for its host, or for the name that is given."""
    asked = ["check", "--address", f"127.0.0.1:{port_of(secured)}", "--ca", str(CERT)]
    assert main([*asked, "--server-name", "elsewhere.example"]) == 1
    assert main([*asked, "--server-name", "localhost"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--address", "nowhere"], "--address: 'nowhere' is not a host and a port"),
        (["--address", NOWHERE, "--cert", "x"], "--cert, --key: must be given together"),
        (["--ca", "x"], "--ca: needs --address"),
        (["--address", NOWHERE, "--ca", "/not/there"], "cannot read /not/there"),
    ],
)
def test_wrong_use(arguments, said, capsys):
    """It ends with 2 and says why."""
    assert main(["check", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_any_free_port_cannot_be_asked(monkeypatch, capsys):
    """Nobody else knows which one it is."""
    monkeypatch.setenv("POLYHEAD_PORT", "0")
    assert main(["check"]) == 2
    assert "--address" in capsys.readouterr().err
