"""A bundle is replaced under load: by the admin port, by a signal, when its folder changes."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import threading
import time
import weakref
from types import SimpleNamespace

import grpc
import pytest
import structlog
from background_server import details, primary, quiet_settings, running, until
from google.rpc.error_details_pb2 import ErrorInfo
from rollout_load import REQUEST, admin_of, point, under_load
from tiny_bundle import HEADS, write_tiny_bundle

from polyhead.admin.v1 import admin_service_pb2 as admin
from polyhead_server import cli, lifecycle, model
from polyhead_server.lifecycle import start_server
from polyhead_server.rollout import loading, watch
from polyhead_server.rollout.watch import stamp
from polyhead_server.signals import reload_on_signal
from polyhead_server.tasks import stopped
from polyhead_server.warming import Warming


async def refusal(call) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value


async def test_no_call_fails(bundles):
    """Calls and a stream go on while bundles are replaced; all are answered, then by the new."""
    first, second, third = bundles
    async with running(first, admin_port=0) as (server, stub), admin_of(server) as port:
        async with under_load(stub) as load:
            for bundle in (second, third, first):
                answer = await port.ReloadBundle(admin.ReloadBundleRequest(path=str(bundle)))
                assert answer.bundle.version == bundle.name
                assert not answer.unchanged
                await load.more()
        assert set(load.versions) == {"1", "2", "3"}
        answer = await stub.Annotate(REQUEST)
        assert answer.bundle_version == "1"
        metric = server.metrics.registry.get_sample_value
        assert metric("polyhead_reload_total", {"result": "ok"}) == 3
        assert metric("polyhead_last_reload_successful") == 1
        assert metric("polyhead_bundle_documents_total", {"bundle_version": "2"}) > 0
        assert metric("polyhead_failed_batches_total") == 0
        await until(lambda: metric("polyhead_bundles") == 1)


async def test_memory_is_returned(bundles):
    """A bundle that was replaced is gone, with its engine and threads."""
    async with running(bundles[0], admin_port=0) as (server, _), admin_of(server) as port:
        model = weakref.ref(primary(server).model)
        await port.ReloadBundle(admin.ReloadBundleRequest(path=str(bundles[1])))
        await until(lambda: server.metrics.registry.get_sample_value("polyhead_bundles") == 1)
        await asyncio.sleep(0)
        gc.collect()
        await until(lambda: model() is None)


async def test_bundle_in_use_is_kept_until_its_calls_are_answered(bundles):
    """A call that began with the old bundle ends with it; the memory goes only then."""
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        roster = server._bundles.roster
        old = roster.primary
        old.hold()
        await port.ReloadBundle(admin.ReloadBundleRequest(path=str(bundles[1])))
        assert roster.in_memory == 2
        answer = await stub.Annotate(REQUEST)
        assert answer.bundle_version == "2"
        old.let_go()
        await until(lambda: roster.in_memory == 1)


async def test_at_most_two_bundles(bundles):
    """No third bundle is loaded while two are in memory; it is told what to do."""
    async with (
        running(bundles[0], admin_port=0, drain_seconds=0.05) as (server, _),
        admin_of(server) as port,
    ):
        old = primary(server)
        old.hold()
        await port.ReloadBundle(admin.ReloadBundleRequest(path=str(bundles[1])))
        third = admin.ReloadBundleRequest(path=str(bundles[2]))
        error = await refusal(port.ReloadBundle(third))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert details(error)[ErrorInfo].reason == "NO_ROOM"
        assert "max_bundles" in error.details()
        old.let_go()
        answer = await port.ReloadBundle(third)
        assert answer.bundle.version == "3"


async def test_same_bundle_is_not_loaded_again(bundles):
    """What is served already is not loaded a second time."""
    async with running(bundles[0], admin_port=0) as (server, _), admin_of(server) as port:
        before = primary(server).model
        answer = await port.ReloadBundle(admin.ReloadBundleRequest())
        assert answer.unchanged
        assert primary(server).model is before


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: (folder / "encoder.bin").write_bytes(b"x"), "encoder.bin is damaged"),
        (lambda folder: (folder / "words.json").unlink(), "missing file words.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json is not JSON"),
        (shutil.rmtree, "not a bundle: it has no manifest.json"),
    ],
)
async def test_bad_bundle_leaves_the_old_one(bundles, tmp_path, harm, told):
    """What cannot be served is refused with the reason, and the old one answers as before."""
    bad = shutil.copytree(bundles[1], tmp_path / "bad")
    harm(bad)
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        async with under_load(stub) as load:
            error = await refusal(port.ReloadBundle(admin.ReloadBundleRequest(path=str(bad))))
            await load.more()
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert details(error)[ErrorInfo].reason == "BUNDLE_REFUSED"
        assert told in error.details()
        assert set(load.versions) == {"1"}
        metric = server.metrics.registry.get_sample_value
        assert metric("polyhead_reload_total", {"result": "failed"}) == 1
        assert metric("polyhead_last_reload_successful") == 0
        assert metric("polyhead_bundles") == 1


async def test_served_bundle_damaged_in_place(bundles, tmp_path):
    """Whatever becomes of its files, a bundle that is served is served on."""
    own = shutil.copytree(bundles[0], tmp_path / "own")
    async with running(own) as (_, stub):
        before = await stub.Annotate(REQUEST)
        os.truncate(own / "encoder.bin", 1)
        shutil.rmtree(own)
        answer = await stub.Annotate(REQUEST)
        assert answer.annotations == before.annotations


async def test_signal(bundles, tmp_path):
    """SIGHUP has the bundle loaded anew, from where its link leads now."""
    link = tmp_path / "current"
    link.symlink_to(bundles[0])
    async with running(link) as (server, stub):
        reload_on_signal(server.reload)
        point(link, bundles[1])
        async with under_load(stub) as load:
            os.kill(os.getpid(), signal.SIGHUP)
            await until(lambda: load.versions["2"] > 0)
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)


async def test_signal_while_the_first_bundle_is_loaded(bundles, tmp_path, monkeypatch):
    """What was read before the signal is not the newest: it is loaded anew once that is served."""
    link = tmp_path / "current"
    link.symlink_to(bundles[0])
    started = []

    async def start_and_change(settings):
        server = await start_server(settings)
        point(link, bundles[1])
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        started.append(server)
        return server

    monkeypatch.setattr(lifecycle, "start_server", start_and_change)
    serving = asyncio.create_task(cli._run(quiet_settings(link)))
    await until(lambda: started and started[0]._bundles.roster.bundle.version == "2")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await serving
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


async def test_loading_ends_with_the_server(bundles, monkeypatch):
    """A process that is to stop does not first warm a bundle that nobody waits for."""
    warmed = []

    def warm(*_):
        warmed.append(1)
        time.sleep(0.05)

    def loading_threads():
        return [one for one in threading.enumerate() if one.name.startswith("polyhead-loading")]

    async with running(bundles[0]) as (server, _):
        monkeypatch.setattr(Warming, "_warm", warm)
        server._bundles.rollout.ask(str(bundles[1]))
        await until(lambda: warmed)
    before = len(warmed)
    await until(lambda: not loading_threads())
    assert len(warmed) <= before + 1


async def test_changes_that_wait_are_given_up_without_a_word(bundles, recwarn):
    """Those that were not begun yet, too."""
    async with running(bundles[0]) as (server, _):
        for _ in range(3):
            server.reload()
        await asyncio.sleep(0)
    gc.collect()
    assert not [str(one.message) for one in recwarn if "never awaited" in str(one.message)]


async def test_watch_follows_a_link(bundles, tmp_path):
    """A link that leads elsewhere is noticed."""
    link = tmp_path / "current"
    link.symlink_to(bundles[0])
    async with running(link, watch_bundle=True) as (_, stub), under_load(stub) as load:
        point(link, bundles[1])
        await until(lambda: load.versions["2"] > 0)


async def test_watch_waits_for_a_whole_bundle(bundles, tmp_path):
    """A folder that is copied half-way is refused or left alone; complete, it is served."""
    folder = shutil.copytree(bundles[0], tmp_path / "own")
    async with running(folder, watch_bundle=True) as (server, stub):
        metric = server.metrics.registry.get_sample_value
        async with under_load(stub) as load:
            (folder / "heads/pos.safetensors").unlink()
            shutil.copy(bundles[1] / "manifest.json", folder)
            await until(lambda: metric("polyhead_reload_total", {"result": "failed"}) == 1)
            await load.more()
            assert set(load.versions) == {"1"}
            shutil.copytree(bundles[1], folder, dirs_exist_ok=True)
            await until(lambda: load.versions["2"] > 0)
        assert metric("polyhead_last_reload_successful") == 1


async def test_watch_tries_again_where_there_was_no_room(bundles, tmp_path, monkeypatch):
    """What a bundle on its way out stood in the way of is loaded once that is gone."""
    monkeypatch.setattr(watch, "_REST_SECONDS", 0.2)
    link = tmp_path / "current"
    link.symlink_to(bundles[0])
    async with running(link, watch_bundle=True, drain_seconds=0.05) as (server, stub):
        metric = server.metrics.registry.get_sample_value
        old = primary(server)
        old.hold()
        async with under_load(stub) as load:
            point(link, bundles[1])
            await until(lambda: load.versions["2"] > 0)
            point(link, bundles[2])
            await until(lambda: metric("polyhead_reload_total", {"result": "failed"}) >= 1)
            old.let_go()
            await until(lambda: load.versions["3"] > 0)


async def test_panic_while_a_bundle_is_loaded(bundles, monkeypatch):
    """Libraries in Rust raise what is no Exception: the bundle is refused, and others are not."""

    class PanicException(BaseException):
        pass

    def panic(*_, **__):
        raise PanicException

    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        second = admin.ReloadBundleRequest(path=str(bundles[1]))
        for name, broken in (
            ("DocumentEncoder", panic),
            ("Tokenizer", SimpleNamespace(from_file=panic)),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(model, name, broken)
                error = await refusal(port.ReloadBundle(second))
            assert details(error)[ErrorInfo].reason == "BUNDLE_REFUSED"
        assert (await stub.Annotate(REQUEST)).bundle_version == "1"
        assert (await port.ReloadBundle(second)).bundle.version == "2"


async def test_watch_bears_what_cannot_be_read(bundles, tmp_path):
    """A link that leads nowhere for a while is followed once it leads to a bundle."""
    link = tmp_path / "current"
    link.symlink_to(bundles[0])
    async with running(link, watch_bundle=True) as (_, stub), under_load(stub) as load:
        point(link, link)  # in a circle
        await asyncio.sleep(1.2)  # two looks at least
        point(link, bundles[1])
        await until(lambda: load.versions["2"] > 0)


async def test_a_task_that_has_failed_does_not_keep_a_server_from_stopping():
    """What it failed of is in the log."""

    async def fail():
        raise PermissionError("no way in")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    with structlog.testing.capture_logs() as logs:
        await stopped(task)
        await stopped(None)
    assert [log["event"] for log in logs] == ["task_failed"]


def test_stamp(bundles, tmp_path):
    """A bundle's stamp changes with any of its files, and is empty without a manifest."""
    folder = shutil.copytree(bundles[0], tmp_path / "own")
    before = stamp(folder)
    assert stamp(folder) == before
    (folder / "heads/pos.safetensors").unlink()
    assert stamp(folder) != before
    (folder / "manifest.json").unlink()
    assert stamp(folder) == ()


async def test_bundle_changed_while_it_is_loaded(bundles, tmp_path, monkeypatch):
    """What was verified and then replaced is not served."""
    folder = shutil.copytree(bundles[1], tmp_path / "own")
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        loader = server._bundles.candidates._loader
        load = type(loader).load

        def change(self, path, **how):
            prepare = loading.prepare_engine

            def prepare_and_change(*given):
                shutil.copytree(bundles[2], folder, dirs_exist_ok=True)
                return prepare(*given)

            monkeypatch.setattr(loading, "prepare_engine", prepare_and_change)
            return load(self, path, **how)

        monkeypatch.setattr(type(loader), "load", change)
        error = await refusal(port.ReloadBundle(admin.ReloadBundleRequest(path=str(folder))))
        assert "changed while it was loaded" in error.details()
        assert (await stub.Annotate(REQUEST)).bundle_version == "1"


async def test_lost_head(bundles, tmp_path):
    """A bundle without a head that the old one had is served; calls for that head are told so."""
    fewer = write_tiny_bundle(tmp_path / "fewer", "4", HEADS[:2])
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        await port.ReloadBundle(admin.ReloadBundleRequest(path=str(fewer)))
        request = type(REQUEST)(documents=REQUEST.documents, tasks=["pos"])
        error = await refusal(stub.Annotate(request))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert details(error)
