"""One real server behind one real gateway for all tests; Envoy is the one that comes with us."""

from __future__ import annotations

import pytest
from gateway_processes import ORIGIN, running_gateway, running_server
from tiny_bundle import HEADS, write_tiny_bundle

from polyhead_server.bundle import HeadSpec

MORE_HEADS = (
    HeadSpec("products", "spans", ("PRODUCT", "PART"), "heads/products.safetensors"),
    HeadSpec("queue", "classification", tuple("abcdefghijkl"), "heads/queue.safetensors"),
)


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


@pytest.fixture(scope="session")
def rich_server(tmp_path_factory, logs):
    """A server whose bundle has heads that a user added, and which shows its metrics."""
    folder = tmp_path_factory.mktemp("bundles") / "rich"
    bundle = write_tiny_bundle(folder, heads=(*HEADS, *MORE_HEADS))
    with running_server(logs / "rich.jsonl", bundle, "--metrics-port=0") as server:
        yield server


@pytest.fixture(scope="session")
def live_gateway(rich_server, logs):
    """A gateway whose page shows the server's metrics."""
    metrics = rich_server.said["metrics"].removeprefix("http://").removesuffix("/metrics")
    options = ("--live-metrics", metrics)
    with running_gateway(logs / "live.jsonl", rich_server, options=options) as gateway:
        yield gateway
