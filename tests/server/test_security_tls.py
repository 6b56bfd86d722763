"""Certificates that are replaced while the server runs, on both ports, and who clients then are."""

from __future__ import annotations

import asyncio
import ssl
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import grpc
import pytest
import structlog
from authority import Authority
from background_server import PATIENCE, quiet_settings, running

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server.callers import name_in
from polyhead_server.errors import StartError
from polyhead_server.lifecycle import start_server
from polyhead_server.security.tls import tls_context

REQUEST = pb.AnnotateRequest(documents=[{"text": "the fans"}], tasks=["pos"])


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def files(tmp_path, authority):
    authority.write(tmp_path, "first")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    return {"tls_cert": tmp_path / "certificate.pem", "tls_key": tmp_path / "key.pem"}


@asynccontextmanager
async def serving(bundle, **settings):
    async with running(bundle, inference_http_port=0, **settings) as (server, _):
        yield server


def shown(url: str) -> str:
    """The certificate, as PEM, that a port shows now."""
    place = urlsplit(url if "//" in url else f"//{url}")
    return ssl.get_server_certificate((place.hostname, place.port), timeout=PATIENCE)


async def shows(url: str, pem: bytes) -> None:
    """Wait until a port shows a certificate to new connections."""
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(shown, url) != pem.decode():
            pass


async def annotate(server, authority, pair=(None, None)):
    credentials = grpc.ssl_channel_credentials(authority.pem, *pair)
    async with grpc.aio.secure_channel(server.ready.address, credentials) as channel:
        return await AnnotationServiceStub(channel).Annotate(REQUEST, timeout=PATIENCE)


def get(url: str, authority, pair=None, folder=None) -> int:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if pair is not None:
        (folder / "client.pem").write_bytes(b"".join(pair))
        context.load_cert_chain(folder / "client.pem")
    with urllib.request.urlopen(url, timeout=PATIENCE, context=context) as answer:  # noqa: S310
        return answer.status


async def test_a_replaced_certificate_is_shown_by_both_ports(
    tiny_bundle, tmp_path, files, authority
):
    """New connections see the new one without a restart; one that is there goes on."""
    async with serving(tiny_bundle, **files) as server:
        credentials = grpc.ssl_channel_credentials(authority.pem)
        async with grpc.aio.secure_channel(server.ready.address, credentials) as channel:
            stub = AnnotationServiceStub(channel)
            await stub.Annotate(REQUEST, timeout=PATIENCE)
            for url in (server.ready.address, server.ready.inference):
                await shows(url, files["tls_cert"].read_bytes())
            authority.write(tmp_path, "second")
            for url in (server.ready.address, server.ready.inference):
                await shows(url, files["tls_cert"].read_bytes())
            await stub.Annotate(REQUEST, timeout=PATIENCE)
        assert (await annotate(server, authority)).annotations
        status = await asyncio.to_thread(get, f"{server.ready.inference}/v2", authority)
        assert status == 200


async def test_a_broken_replacement_leaves_the_old(tiny_bundle, tmp_path, files, authority):
    """A key that is not the certificate's is refused with a line in the log, and nobody notices."""
    good = files["tls_cert"].read_bytes()
    with structlog.testing.capture_logs() as logs:
        async with serving(tiny_bundle, **files) as server:
            files["tls_key"].write_bytes(authority.issue("other")[0])
            async with asyncio.timeout(PATIENCE):
                while len([log for log in logs if log["event"] == "file_refused"]) < 2:
                    assert await asyncio.to_thread(shown, server.ready.address) == good.decode()
                    await asyncio.to_thread(get, f"{server.ready.inference}/v2", authority)
            authority.write(tmp_path, "third")
            await shows(server.ready.address, files["tls_cert"].read_bytes())
    refused = next(log for log in logs if log["event"] == "file_refused")
    assert "cannot use the TLS files" in refused["reason"]
    assert refused["log_level"] == "warning"


async def test_replaced_client_authorities(tiny_bundle, tmp_path, files, authority):
    """Clients of a new authority are let in and those of the old no more, on both ports."""
    other = Authority("other")
    old, new = authority.issue("old"), other.issue("new")
    settings = {**files, "tls_client_ca": tmp_path / "ca.pem"}
    async with serving(tiny_bundle, **settings) as server:
        url = f"{server.ready.inference}/v2"
        assert (await annotate(server, authority, old)).annotations
        assert await asyncio.to_thread(get, url, authority, old, tmp_path) == 200
        with pytest.raises(grpc.RpcError):
            await annotate(server, authority, new)
        with pytest.raises((urllib.error.URLError, ConnectionError, ssl.SSLError)):
            await asyncio.to_thread(get, url, authority, new, tmp_path)
        (tmp_path / "ca.pem").write_bytes(other.pem)
        async with asyncio.timeout(PATIENCE):
            while not await welcome(server, authority, new):
                pass
            while await welcome(server, authority, old):
                pass
            while not await reads(url, authority, new, tmp_path):
                pass
        assert not await reads(url, authority, old, tmp_path)


async def test_no_session_outlives_its_authority(tiny_bundle, tmp_path, files, authority):
    """TLS 1.2 is not spoken: it takes sessions up whatever authority is in force by then."""
    pair = authority.issue("client")
    settings = {**files, "tls_client_ca": tmp_path / "ca.pem"}
    (tmp_path / "client.pem").write_bytes(b"".join(pair))
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.load_cert_chain(tmp_path / "client.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving(tiny_bundle, **settings) as server:
        url = f"{server.ready.inference}/v2"
        assert await asyncio.to_thread(get, url, authority, pair, tmp_path) == 200
        with pytest.raises((urllib.error.URLError, ConnectionError, ssl.SSLError)):
            await asyncio.to_thread(urllib.request.urlopen, url, timeout=PATIENCE, context=context)


async def welcome(server, authority, pair) -> bool:
    try:
        return bool((await annotate(server, authority, pair)).annotations)
    except grpc.RpcError:
        return False


async def reads(url, authority, pair, folder) -> bool:
    try:
        return await asyncio.to_thread(get, url, authority, pair, folder) == 200
    except (urllib.error.URLError, ConnectionError, ssl.SSLError):
        return False


@pytest.mark.parametrize(
    ("uri", "client"),
    [(None, "cert:team a"), ("spiffe://example.org/team-b", "cert:spiffe://example.org/team-b")],
)
async def test_clients_are_known_by_their_certificates(
    tiny_bundle, tmp_path, files, authority, uri, client
):
    """A URI says more than the common name, in the same way on both ports."""
    pair = authority.issue("team a", uri=uri)
    settings = {**files, "tls_client_ca": tmp_path / "ca.pem", "access_log": True}
    with structlog.testing.capture_logs() as logs:
        async with serving(tiny_bundle, **settings) as server:
            await annotate(server, authority, pair)
            url = f"{server.ready.inference}/v2"
            await asyncio.to_thread(get, url, authority, pair, tmp_path)
    assert [log["client"] for log in logs if log["event"] == "call"] == [client, client]


def test_name_of_a_certificate_without_common_name():
    """The first alternative name stands for its holder."""
    assert name_in({"subject": (), "subjectAltName": (("DNS", "a.example"),)}) == "a.example"
    assert name_in({}) == ""


async def test_start_with_files_that_do_not_fit(tiny_bundle, files, authority):
    """What would be refused later is refused at the start, in one line, password or not."""
    files["tls_key"].write_bytes(authority.issue("other")[0])
    with pytest.raises(StartError, match="cannot use the TLS files"):
        tls_context(quiet_settings(tiny_bundle, **files))
    with pytest.raises(StartError, match="cannot use the TLS files"):
        await start_server(quiet_settings(tiny_bundle, **files))
