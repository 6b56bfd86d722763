"""TLS on both sides of the gateway: towards callers, and mutual towards the servers."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from gateway_processes import PATIENCE, ask, running_gateway, running_server

CERTS = Path(__file__).parents[1] / "client" / "certs"
CERT, KEY = CERTS / "certificate.pem", CERTS / "key.pem"


@pytest.fixture(scope="module")
def gateway(bundle, logs):
    """Everything encrypted; the server wants the gateway's certificate."""
    pair = ("--tls-cert", CERT, "--tls-key", KEY)
    shown = ("--upstream-cert", CERT, "--upstream-key", KEY)
    upstream = ("--upstream-ca", CERT, "--upstream-name", "localhost", *shown)
    with (
        running_server(logs / "tls-server.jsonl", bundle, *pair, "--tls-client-ca", CERT) as server,
        running_gateway(logs / "tls.jsonl", server, options=(*pair, *upstream)) as gateway,
    ):
        yield gateway


def test_encrypted_from_end_to_end(gateway):
    """A caller that trusts the certificate is answered by the server behind."""
    url = urlsplit(gateway.address)
    assert url.scheme == "https"
    trusting = ssl.create_default_context(cafile=CERT)
    connection = http.client.HTTPSConnection(
        "localhost", url.port, context=trusting, timeout=PATIENCE
    )
    answer = ask(gateway, "/v1/tasks", connection=connection)
    connection.close()
    assert (answer.status, answer.json["bundleName"]) == (200, "tiny")


def test_plain_callers_are_not_answered(gateway):
    """Without TLS there is no answer."""
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        ask(gateway, "/v1/tasks")
