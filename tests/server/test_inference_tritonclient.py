"""The public tritonclient works unchanged, over gRPC and HTTP, sync and async."""

from __future__ import annotations

import re

import pytest
from background_server import BackgroundServer
from tritonclient_runs import CHECKS, PYTHON, ROOT, make_environment, run, run_checks


@pytest.fixture(scope="module")
def server(tiny_bundle):
    server = BackgroundServer(tiny_bundle, inference_http_port=0)
    yield server
    server.close()


@pytest.fixture(scope="module")
def found(server):
    return run_checks(server.ready.address, server.ready.inference.removeprefix("http://"))


@pytest.mark.parametrize("check", CHECKS)
def test_tritonclient(found, check):
    """Each check of the script holds."""
    assert found[check] == "ok", found[check]


def test_the_example_of_the_readme(server):
    """The program in the server's README runs as it stands."""
    make_environment()
    page = (ROOT / "server/README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n([^`]*tritonclient[^`]*)```", page)
    said = run(PYTHON, "-c", program.replace("localhost:50051", server.ready.address))
    assert re.match(r"\[b'(negative|neutral|positive)' b'", said)
