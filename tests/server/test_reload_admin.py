"""The admin port: its own address, its own tokens, nothing of it on the public port."""

from __future__ import annotations

import grpc
import pytest
from authority import Authority
from background_server import PATIENCE, BackgroundServer, quiet_settings
from tiny_bundle import write_tiny_bundle

from polyhead.admin.v1 import admin_service_pb2 as admin
from polyhead.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead_server.cli import main
from polyhead_server.errors import SettingsError, StartError
from polyhead_server.lifecycle import start_server

LIST = admin.ListBundlesRequest()


@pytest.fixture(scope="module")
def guarded(tiny_bundle, tmp_path_factory):
    """A server with an admin port and tokens for both ports."""
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "callers").write_text("caller-secret\n")
    (folder / "admins").write_text("admin-secret\n")
    server = BackgroundServer(
        tiny_bundle,
        admin_port=0,
        token_file=folder / "callers",
        admin_token_file=folder / "admins",
    )
    yield server
    server.close()


def bearing(token: str):
    return (("authorization", f"Bearer {token}"),)


def code_of(call) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code()


def test_admin_token(guarded):
    """An admin's token opens the admin port, a caller's does not, nor does none."""
    with grpc.insecure_channel(guarded.ready.admin) as channel:
        port = AdminServiceStub(channel)
        listed = port.ListBundles(LIST, metadata=bearing("admin-secret"), timeout=PATIENCE)
        assert [bundle.version for bundle in listed.bundles] == ["1"]
        for given in ((), bearing("caller-secret"), bearing("")):
            asked = code_of(lambda given=given: port.ListBundles(LIST, metadata=given))
            assert asked is grpc.StatusCode.UNAUTHENTICATED


def test_not_on_the_public_port(guarded):
    """The public port does not know the admin service, and the admin port no other."""
    public = AdminServiceStub(guarded.channel)
    given = bearing("admin-secret")
    asked = code_of(lambda: public.ListBundles(LIST, metadata=given))
    assert asked is grpc.StatusCode.UNIMPLEMENTED
    with grpc.insecure_channel(guarded.ready.admin) as channel:
        stub = AnnotationServiceStub(channel)
        asked = code_of(lambda: stub.ListTasks(pb.ListTasksRequest(), metadata=given))
        assert asked is grpc.StatusCode.UNIMPLEMENTED


def test_bytes_that_are_no_message(guarded):
    """What cannot be decoded is the caller's mistake."""
    with grpc.insecure_channel(guarded.ready.admin) as channel:
        call = channel.unary_unary("/polyhead.admin.v1.AdminService/SetTraffic")
        asked = code_of(lambda: call(b"\xff\xff", metadata=bearing("admin-secret")))
        assert asked is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"admin_port": 0, "admin_host": "0.0.0.0"}, "needs admin_token_file"),  # noqa: S104
        ({"admin_port": 5000, "port": 5000}, "is the port of the gRPC server"),
        ({"admin_port": 70_000}, "is not from -1 to 65535"),
        ({"max_bundles": 1}, "is less than 2"),
    ],
)
def test_settings(tiny_bundle, settings, told):
    """Settings that would open the port to everybody, or clash, are refused."""
    with pytest.raises(SettingsError, match=told):
        quiet_settings(tiny_bundle, **settings)


async def test_taken_port(tiny_bundle, guarded):
    """A taken admin port is told like any other."""
    port = int(guarded.ready.admin.rpartition(":")[2])
    with pytest.raises(StartError, match="is in use"):
        await start_server(quiet_settings(tiny_bundle, admin_port=port))


def test_command(tiny_bundle, tmp_path, capsys, monkeypatch):
    """`polyhead-server bundles` does what the port does, past proxies, and shows what is served."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    second = write_tiny_bundle(tmp_path / "2", "2")
    token = tmp_path / "admins"
    token.write_text("me admin-secret\n")
    server = BackgroundServer(tiny_bundle, admin_port=0, admin_token_file=token)

    def bundles(*arguments: str) -> tuple[int, list[list[str]], str]:
        asked = ["bundles", f"--admin={server.ready.admin}", f"--token-file={token}", *arguments]
        status = main(asked)
        out, err = capsys.readouterr()
        rows = [line.split()[:4] for line in out.splitlines() if line.count("%") == 2]  # no log
        return status, rows, err

    try:
        assert bundles() == (0, [["1", "tiny", "100.0%", "0.0%"]], "")
        status, rows, _ = bundles("reload", str(second), "--beside")
        assert (status, rows[1:]) == (0, [["2", "tiny", "0.0%", "0.0%"]])
        _, rows, _ = bundles("traffic", "--canary", "2=0.25")
        assert [row[2] for row in rows] == ["75.0%", "25.0%"]
        _, rows, _ = bundles("traffic", "--primary", "2", "--shadow", "1=0.5")
        assert rows == [["2", "tiny", "100.0%", "0.0%"], ["1", "tiny", "0.0%", "50.0%"]]
        assert bundles("unload", "1")[1] == [["2", "tiny", "100.0%", "0.0%"]]
        status, _, told = bundles("reload", str(tmp_path / "nowhere"))
        assert status == 2
        assert "FAILED_PRECONDITION" in told
        assert "not a bundle" in told
        status, _, told = bundles("traffic", "--canary", "2")
        assert (status, told) == (2, "polyhead-server: --canary: '2' is not VERSION=PART\n")
    finally:
        server.close()


def test_command_over_tls(tiny_bundle, tmp_path, capsys):
    """It shows a client certificate where the port asks for one, and can be told a name."""
    authority = Authority()
    authority.write(tmp_path, "server")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    key, cert = authority.issue("admin")
    (tmp_path / "own.key").write_bytes(key)
    (tmp_path / "own.pem").write_bytes(cert)
    server = BackgroundServer(
        tiny_bundle,
        admin_port=0,
        tls_cert=tmp_path / "certificate.pem",
        tls_key=tmp_path / "key.pem",
        tls_client_ca=tmp_path / "ca.pem",
    )
    trusted = ["bundles", f"--admin={server.ready.admin}", f"--ca={tmp_path / 'ca.pem'}"]
    shown = [f"--cert={tmp_path / 'own.pem'}", f"--key={tmp_path / 'own.key'}"]
    try:
        assert main([*trusted, *shown]) == 0
        assert main([*trusted, *shown, "--server-name=localhost"]) == 0
        assert main(trusted) == 2
        assert "UNAVAILABLE" in capsys.readouterr().err
        assert main([*trusted, *shown, "--server-name=elsewhere"]) == 2
        assert main([*trusted, shown[0]]) == 2
        assert "--cert, --key: give both" in capsys.readouterr().err
        assert main(["bundles", f"--admin={server.ready.admin}", *shown]) == 2
        assert "--ca: certificates and names are for TLS" in capsys.readouterr().err
    finally:
        server.close()
