"""The admin port: its own address, its own tokens, nothing of it on the public port."""

from __future__ import annotations

import grpc
import pytest
from background_server import PATIENCE, BackgroundServer, quiet_settings

from polyhead.admin.v1 import admin_service_pb2 as admin
from polyhead.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
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
