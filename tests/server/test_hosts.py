"""Hosts of either family, in brackets or without, for every port."""

import contextlib
import socket
import urllib.request

import grpc
import pytest
from background_server import PATIENCE, BackgroundServer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from polyhead_server.hosts import bare, joined


def _with_ipv6():
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


HOSTS = ["127.0.0.1", "localhost", *(["::1", "[::1]"] if _with_ipv6() else [])]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.7", "10.0.0.7:80"),
        ("a.example", "a.example:80"),
        ("::", "[::]:80"),
        ("[::]", "[::]:80"),
        ("2001:db8::1", "[2001:db8::1]:80"),
    ],
)
def test_joined(host, address):
    """As gRPC and URLs have it."""
    assert joined(host, 80) == address
    assert joined(bare(host), 80) == address


@pytest.mark.parametrize("host", HOSTS)
def test_all_ports_of_a_server(tiny_bundle, host):
    """What the ready line says can be asked as it is."""
    ports = {"metrics_host": host, "metrics_port": 0, "inference_http_port": 0}
    server = BackgroundServer(tiny_bundle, host=host, **ports)
    try:
        with grpc.insecure_channel(server.ready.address) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        for url in (server.ready.metrics, f"{server.ready.inference}/v2/health/ready"):
            with urllib.request.urlopen(url, timeout=PATIENCE) as page:  # noqa: S310 - ours
                assert page.status == 200
    finally:
        server.close()
