"""Bundles are rolled out over several workers: everywhere or nowhere."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter

import grpc
import pytest
from background_server import PATIENCE
from rollout_load import point
from worker_server import WorkerServer, eventually

from polyhead.admin.v1 import admin_service_pb2 as admin
from polyhead.admin.v1.admin_service_pb2_grpc import AdminServiceStub

MANY = 24
"""Calls over connections of their own: all at one worker of two once in 2^23."""


@pytest.fixture(scope="module")
def link(bundles, tmp_path_factory):
    """What the server is told to serve."""
    link = tmp_path_factory.mktemp("link") / "current"
    link.symlink_to(bundles[0])
    return link


@pytest.fixture(scope="module")
def served(link, tmp_path_factory):
    served = WorkerServer(link, tmp_path_factory.mktemp("workers"), "--admin-port=0")
    yield served
    served.close()


@pytest.fixture(scope="module")
def port(served):
    with grpc.insecure_channel(served.urls["admin"]) as channel:
        yield AdminServiceStub(channel)


def answering(served) -> Counter[str]:
    return Counter(served.call().bundle_version for _ in range(MANY))


def reload(port, path, **how):
    request = admin.ReloadBundleRequest(path=str(path), **how)
    return port.ReloadBundle(request, timeout=PATIENCE)


def test_all_workers(served, port, bundles):
    """A bundle that was reloaded is served by every worker, and counted as one reload."""
    assert reload(port, bundles[1]).bundle.version == "2"
    assert answering(served) == {"2": MANY}
    assert served.metric("polyhead_reload_total", result="ok") == 1
    eventually(lambda: served.metric("polyhead_bundles") == 2)


def test_bad_bundle(served, port, bundles, tmp_path):
    """A bundle that one worker cannot load is served by none."""
    bad = shutil.copytree(bundles[2], tmp_path / "bad")
    os.truncate(bad / "encoder.bin", 1)
    before = answering(served)
    with pytest.raises(grpc.RpcError) as caught:
        reload(port, bad)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "encoder.bin is damaged" in caught.value.details()
    assert answering(served) == before
    assert served.metric("polyhead_last_reload_successful") == 0


def test_replaced_worker_joins(served, port, bundles):
    """A worker that comes in place of one that was killed serves what the others do."""
    reload(port, bundles[1])
    reload(port, bundles[2], beside=True)
    share = admin.Share(bundle_version="3", part=1)
    port.SetTraffic(admin.SetTrafficRequest(traffic=admin.Traffic(canaries=[share])))
    assert answering(served) == {"3": MANY}
    os.kill(served.pids()[0], signal.SIGKILL)
    eventually(lambda: served.metric("polyhead_worker_restarts_total") == 1)
    eventually(lambda: served.metric("polyhead_workers") == 2)
    assert answering(served) == {"3": MANY}
    port.UnloadBundle(admin.UnloadBundleRequest(bundle_version="3"), timeout=PATIENCE)
    assert answering(served) == {"2": MANY}


def test_impossible_traffic(served, port):
    """What the workers refuse is told as one process tells it."""
    share = admin.Share(bundle_version="9", part=1)
    with pytest.raises(grpc.RpcError) as caught:
        port.SetTraffic(admin.SetTrafficRequest(traffic=admin.Traffic(canaries=[share])))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError) as caught:
        port.UnloadBundle(admin.UnloadBundleRequest(bundle_version="9"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_signal(served, link, bundles):
    """SIGHUP to the supervisor reloads all workers."""
    point(link, bundles[2])
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: answering(served) == {"3": MANY})


def test_watch(bundles, tmp_path):
    """Where the folder is watched, all workers follow it."""
    link = tmp_path / "current"
    link.symlink_to(bundles[0])
    served = WorkerServer(link, tmp_path, "--watch-bundle")
    point(link, bundles[1])
    eventually(lambda: answering(served) == {"2": MANY})
    assert served.stop(signal.SIGTERM) == 0
    served.close()
