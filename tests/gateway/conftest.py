"""One real server behind one real gateway for all tests; Envoy is the one that comes with us."""

from __future__ import annotations

import pytest
from gateway_processes import ORIGIN, running_gateway, running_server
from tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture(scope="session")
def logs(tmp_path_factory):
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session")
def server(bundle, logs):
    with running_server(logs / "server.jsonl", bundle) as server:
        yield server


@pytest.fixture(scope="session")
def gateway(server, logs):
    options = ("--cors-origins", ORIGIN, "--max-request-bytes", 200_000)
    with running_gateway(logs / "gateway.jsonl", server, options=options) as gateway:
        yield gateway
