"""Bundles are rolled out over several workers: everywhere or nowhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections import Counter

import grpc
import pytest
from background_server import PATIENCE
from gateway_processes import COMMAND
from rollout_load import point
from tiny_bundle import HEADS, write_tiny_bundle
from worker_server import WorkerServer, arguments, eventually

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
    meanwhile: Counter[str] = Counter()

    def joined() -> bool:
        meanwhile.update(answering(served))
        return served.metric("polyhead_workers") == 2

    eventually(joined)
    assert set(meanwhile) == {"3"}
    assert answering(served) == {"3": MANY}
    port.UnloadBundle(admin.UnloadBundleRequest(bundle_version="3"), timeout=PATIENCE)
    assert answering(served) == {"2": MANY}


def test_replaced_worker_with_another_primary(bundles, tmp_path):
    """All go to what its folder holds now, and it gets what is served beside as well."""
    folder = shutil.copytree(bundles[0], tmp_path / "own")
    served = WorkerServer(folder, tmp_path, "--admin-port=0", "--max-bundles=3")
    try:
        with grpc.insecure_channel(served.urls["admin"]) as channel:
            port = AdminServiceStub(channel)
            reload(port, bundles[2], beside=True)
            share = admin.Share(bundle_version="3", part=1)
            port.SetTraffic(admin.SetTrafficRequest(traffic=admin.Traffic(canaries=[share])))
            shutil.copytree(bundles[1], folder, dirs_exist_ok=True)
            os.kill(served.pids()[0], signal.SIGKILL)
            eventually(lambda: served.metric("polyhead_worker_restarts_total") == 1)
            eventually(lambda: served.metric("polyhead_workers") == 2)
            assert answering(served) == {"3": MANY}
            listed = port.ListBundles(admin.ListBundlesRequest(), timeout=PATIENCE)
            assert [bundle.version for bundle in listed.bundles] == ["2", "3"]
    finally:
        served.close()


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


def test_probes_know_the_heads_of_now(served, port, tmp_path):
    """A head that the bundle of the start had, and the one of now has not, is not ready."""
    assert probe(served, "pos") == 200
    fewer = write_tiny_bundle(tmp_path / "fewer", "4", HEADS[:2])
    reload(port, fewer)
    assert (probe(served, "pos"), probe(served, "entities")) == (404, 200)


def probe(served, head) -> int:
    url = served.urls["metrics"].replace("/metrics", f"/readyz/{head}")
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_signal_before_all_are_ready(bundles, tmp_path):
    """It is heard: a worker may have read its bundle before."""
    link = tmp_path / "current"
    link.symlink_to(bundles[0])
    log = (tmp_path / "log").open("w")
    with (
        log,
        subprocess.Popen(
            [*COMMAND, *arguments(link)], stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        eventually(lambda: '"loaded"' in (tmp_path / "log").read_text())
        point(link, bundles[1])
        process.send_signal(signal.SIGHUP)
        eventually(lambda: "2" in reloaded(tmp_path / "log"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def reloaded(log) -> list[str]:
    """The versions that the log tells of; the last line may be half written."""
    whole = log.read_text().rpartition("\n")[0]
    events = map(json.loads, whole.splitlines())
    return [event["version"] for event in events if event["event"] == "reloaded"]


def test_watch(bundles, tmp_path):
    """Where the folder is watched, all workers follow it."""
    link = tmp_path / "current"
    link.symlink_to(bundles[0])
    served = WorkerServer(link, tmp_path, "--watch-bundle")
    point(link, bundles[1])
    eventually(lambda: answering(served) == {"2": MANY})
    assert served.stop(signal.SIGTERM) == 0
    served.close()
