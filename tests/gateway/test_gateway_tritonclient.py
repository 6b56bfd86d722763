"""The public tritonclient works unchanged through the gateway, too: gRPC and HTTP on one port."""

from __future__ import annotations

import pytest
from gateway_processes import running_gateway, running_server
from tritonclient_runs import CHECKS, run_checks


@pytest.fixture(scope="module")
def found(bundle, logs):
    with running_server(logs / "inference.jsonl", bundle, "--inference-http-port=0") as server:
        inference = ("--inference", server.said["inference"].removeprefix("http://"))
        with running_gateway(
            logs / "inference-gateway.jsonl", server, options=inference
        ) as gateway:
            address = gateway.address.removeprefix("http://")
            return run_checks(address, address)


@pytest.mark.parametrize("check", CHECKS)
def test_tritonclient(found, check):
    """Each check of the script holds."""
    assert found[check] == "ok", found[check]
