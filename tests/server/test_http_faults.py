"""What is no HTTP is refused, and nothing of it goes into any log."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
from background_server import PATIENCE, BackgroundServer


@pytest.fixture(scope="module")
def served(tiny_bundle):
    served = BackgroundServer(tiny_bundle, inference_http_port=0)
    yield served
    served.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /v2/mode private-text\r\nHost: a\r\n\r\n",
        b"POST /v2/models/pos/infer HTTP/1.1\r\nHost: a\r\nContent-Length: private-text\r\n\r\n",
    ],
)
def test_no_text_in_the_log(served, request_, caplog, capfd):
    """The caller gets 400; neither our log nor the library's has a word of it."""
    place = urlsplit(served.ready.inference)
    with socket.create_connection((place.hostname, place.port), PATIENCE) as sock:
        sock.sendall(request_)
        assert b" 400 " in sock.recv(1024)
    out, err = capfd.readouterr()
    assert "private-text" not in out + err + caplog.text
