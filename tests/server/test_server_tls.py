"""TLS and mutual TLS with certificates from files."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from background_server import PATIENCE, quiet_settings

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server.lifecycle import start_server

CERTS = Path(__file__).parent.parent / "client" / "certs"
CERT, KEY = CERTS / "certificate.pem", CERTS / "key.pem"
NAME = (("grpc.ssl_target_name_override", "localhost"),)


async def list_tasks(server, credentials):
    async with grpc.aio.secure_channel(server.ready.address, credentials, NAME) as channel:
        stub = AnnotationServiceStub(channel)
        return await stub.ListTasks(pb.ListTasksRequest(), timeout=PATIENCE)


async def test_tls(tiny_bundle):
    """A client that trusts the certificate is answered; one without TLS is not."""
    server = await start_server(quiet_settings(tiny_bundle, tls_cert=CERT, tls_key=KEY))
    trusting = grpc.ssl_channel_credentials(CERT.read_bytes())
    assert (await list_tasks(server, trusting)).bundle_name == "tiny"
    async with grpc.aio.insecure_channel(server.ready.address) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            await AnnotationServiceStub(channel).ListTasks(pb.ListTasksRequest(), timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await server.stop()


async def test_mutual_tls(tiny_bundle):
    """With client authorities set only a client with a certificate of theirs is answered."""
    settings = quiet_settings(tiny_bundle, tls_cert=CERT, tls_key=KEY, tls_client_ca=CERT)
    server = await start_server(settings)
    with pytest.raises(grpc.RpcError):
        await list_tasks(server, grpc.ssl_channel_credentials(CERT.read_bytes()))
    own = grpc.ssl_channel_credentials(CERT.read_bytes(), KEY.read_bytes(), CERT.read_bytes())
    assert (await list_tasks(server, own)).bundle_name == "tiny"
    await server.stop()
