"""Several bundles side by side: canaries, shadows, versions that calls name."""

from __future__ import annotations

import asyncio
import threading
import time

import grpc
import pytest
from background_server import details, running, until
from google.rpc.error_details_pb2 import BadRequest
from rollout_load import REQUEST, admin_of, under_load
from safetensors.numpy import load_file, save_file
from tiny_bundle import HEADS, write_tiny_bundle

from polyhead import AsyncClient, NotFoundError
from polyhead.admin.v1 import admin_service_pb2 as admin
from polyhead.v1 import annotation_service_pb2 as pb
from polyhead_server.bundle import identify_bundle, seal_bundle
from polyhead_server.inference import open_inference_pb2 as open_inference
from polyhead_server.rollout import shadow
from polyhead_server.rollout.cores import Cores
from polyhead_server.rollout.traffic import Share, Traffic

CALLS = 120


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Two alike, and one with another opinion on sentiment and without topics."""
    folder = tmp_path_factory.mktemp("versions")
    first, second = (write_tiny_bundle(folder / version, version) for version in ("1", "2"))
    return first, second, _other(write_tiny_bundle(folder / "3", "3", HEADS[:3]))


def _other(folder):
    """Turn every verdict of the sentiment head around."""
    file = folder / "heads/sentiment.safetensors"
    tensors = {name: -tensor for name, tensor in load_file(file).items()}
    save_file(tensors, file)
    seal_bundle(folder, identify_bundle(folder).manifest)
    return folder


def shares(**parts: float) -> list[admin.Share]:
    return [admin.Share(bundle_version=name[1:], part=part) for name, part in parts.items()]


async def beside(port, bundle) -> None:
    await port.ReloadBundle(admin.ReloadBundleRequest(path=str(bundle), beside=True))


async def send(port, **traffic) -> admin.Traffic:
    request = admin.SetTrafficRequest(traffic=admin.Traffic(**traffic))
    return (await port.SetTraffic(request)).traffic


async def versions(stub, ids, request=REQUEST) -> list[str]:
    """The version that answers each call, by request id."""
    calls = [stub.Annotate(request, metadata=(("x-request-id", name),)) for name in ids]
    return [(await call).bundle_version for call in calls]


async def test_canary_answers_its_share(bundles):
    """A canary answers its part of the calls, the same ones each time, and no other."""
    ids = [f"call-{number}" for number in range(CALLS)]
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        await beside(port, bundles[1])
        assert set(await versions(stub, ids)) == {"1"}
        await send(port, canaries=shares(v2=0.25))
        found = await versions(stub, ids)
        assert 11 <= found.count("2") <= 49  # 4 standard deviations around 30
        assert await versions(stub, ids) == found
        expected = Traffic("1", canaries=(Share("2", 0.25),))
        assert found == [expected.canary(name) or "1" for name in ids]
        await send(port, canaries=shares(v2=1))
        assert set(await versions(stub, ids)) == {"2"}
        metric = server.metrics.registry.get_sample_value
        documents = metric("polyhead_bundle_documents_total", {"bundle_version": "2"})
        assert documents == CALLS + 2 * found.count("2")
        ratio = {"bundle_version": "2", "role": "canary"}
        assert metric("polyhead_bundle_traffic_ratio", ratio) == 1


async def test_canary_without_the_head(bundles):
    """Calls for a head that the canary does not have go to the primary."""
    ids = [f"call-{number}" for number in range(10)]
    request = pb.AnnotateRequest(documents=REQUEST.documents, tasks=["pos", "topic"])
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        await beside(port, bundles[2])
        await send(port, canaries=shares(v3=1))
        assert set(await versions(stub, ids)) == {"3"}
        assert set(await versions(stub, ids, request)) == {"1"}


async def test_promotion_under_load(bundles):
    """Traffic is moved, and the old bundle unloaded, with every call answered."""
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        async with under_load(stub) as load:
            await beside(port, bundles[1])
            await send(port, canaries=shares(v2=0.5))
            await load.more()
            await send(port, primary_version="2")
            await port.UnloadBundle(admin.UnloadBundleRequest(bundle_version="1"))
            await load.more()
        listed = await port.ListBundles(admin.ListBundlesRequest())
        assert [bundle.version for bundle in listed.bundles] == ["2"]
        assert listed.traffic == admin.Traffic(primary_version="2")
        assert server.metrics.registry.get_sample_value("polyhead_bundles") == 1


async def test_canary_that_becomes_primary(bundles):
    """A bundle that is loaded beside takes the primary's place without being loaded again."""
    async with running(bundles[0], admin_port=0) as (server, _), admin_of(server) as port:
        await beside(port, bundles[1])
        await send(port, canaries=shares(v2=0.1))
        answer = await port.ReloadBundle(admin.ReloadBundleRequest(path=str(bundles[1])))
        assert answer.unchanged
        listed = await port.ListBundles(admin.ListBundlesRequest())
        assert listed.traffic == admin.Traffic(primary_version="2")
        assert [bundle.version for bundle in listed.bundles] == ["2"]


async def test_shadow_agreement(bundles):
    """A shadow's results are compared by task; callers get the primary's and notice nothing."""
    ids = [f"call-{number}" for number in range(20)]
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        await beside(port, bundles[2])
        await send(port, shadows=shares(v3=1))
        cost = server._bundles.roster.find("3").batcher._cost
        known = cost._runs, cost.seconds(64)
        assert set(await versions(stub, ids)) == {"1"}
        metric = server.metrics.registry.get_sample_value
        await until(lambda: metric("polyhead_shadow_documents_total", {"result": "compared"}) == 20)

        def agreement(task, result):
            labels = {"task": task, "result": result}
            return metric("polyhead_shadow_agreement_total", labels)

        assert agreement("pos", "agree") == agreement("entities", "agree") == 20
        assert agreement("sentiment", "differ") == 20
        assert agreement("sentiment", "agree") is None
        assert agreement("topic", "agree") is agreement("topic", "differ") is None
        assert metric("polyhead_documents_total") == 20
        assert metric("polyhead_bundle_documents_total", {"bundle_version": "3"}) == 0
        assert metric("polyhead_batch_texts_sum") == 20
        # Its batches were mostly waiting for others: no measure for callers that it may have.
        assert (cost._runs, cost.seconds(64)) == known


async def test_shadow_of_calls_without_a_name(bundles):
    """Those of the Open Inference Protocol fall to a shadow at random: to a part of its size."""
    calls = 60
    async with running(bundles[0], admin_port=0) as (server, _), admin_of(server) as port:
        await beside(port, bundles[1])
        await send(port, shadows=shares(v2=0.5))
        async with grpc.aio.insecure_channel(server.ready.address) as channel:
            infer = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                request_serializer=open_inference.ModelInferRequest.SerializeToString,
                response_deserializer=open_inference.ModelInferResponse.FromString,
            )
            for _ in range(calls):
                await infer(_infer("sentiment", ""))
        metric = server.metrics.registry.get_sample_value

        def compared() -> float:
            return metric("polyhead_shadow_documents_total", {"result": "compared"}) or 0.0

        await until(lambda: compared() > 0.2 * calls)
        await asyncio.sleep(0.2)
        assert compared() < 0.8 * calls


async def test_shadow_that_fails(bundles):
    """A shadow whose engine fails is counted, and fails no call."""
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        await beside(port, bundles[1])

        def fail(jobs):
            raise RuntimeError("no engine")

        server._bundles.roster.find("2").batcher._threads._encode = fail
        await send(port, shadows=shares(v2=1))
        async with under_load(stub) as load:
            await load.more()
        metric = server.metrics.registry.get_sample_value
        await until(lambda: metric("polyhead_shadow_documents_total", {"result": "failed"}) > 0)
        assert metric("polyhead_failed_batches_total") == 0
        assert set(load.versions) == {"1"}


async def test_shadow_that_hangs_is_dropped(bundles, monkeypatch):
    """Where a shadow does not keep up, copies are dropped, so that few wait."""
    monkeypatch.setattr(shadow, "_MOST_CHARS", 3 * len(REQUEST.documents[0].text))
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        await beside(port, bundles[1])
        passes = asyncio.Event()
        annotate = server._bundles.roster.find("2").copyist.annotate_items

        async def hang(*given, **named):
            await passes.wait()
            return await annotate(*given, **named)

        server._bundles.roster.find("2").copyist.annotate_items = hang
        await send(port, shadows=shares(v2=1))
        assert set(await versions(stub, map(str, range(10)))) == {"1"}
        metric = server.metrics.registry.get_sample_value
        assert metric("polyhead_shadow_documents_total", {"result": "dropped"}) == 7
        passes.set()
        await until(lambda: metric("polyhead_shadow_documents_total", {"result": "compared"}) == 3)


async def test_a_message_that_waited_for_its_turn_across_a_reload(bundles):
    """What a stream asks of a model is answered by the bundle of then, by its own labels."""
    quota = {"client_chars_per_second": 10.0, "client_chars_burst": 10.0}
    async with (
        running(bundles[0], **quota) as (server, _),
        grpc.aio.insecure_channel(server.ready.address) as channel,
    ):
        call = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            request_serializer=open_inference.ModelInferRequest.SerializeToString,
            response_deserializer=open_inference.ModelStreamInferResponse.FromString,
        )()
        for number, version in enumerate(("", "", "1", "")):
            await call.write(_infer("topic" if number == 3 else "sentiment", version))
        first = (await call.read()).infer_response
        await server._bundles.rollout.reload(str(bundles[2]))
        second, pinned, lost = [await call.read() for _ in range(3)]
    assert (first.model_version, second.infer_response.model_version) == ("1", "3")
    assert "there is version '3'" in pinned.error_message
    assert "'topic' is not found" in lost.error_message


def _infer(model, version):
    return open_inference.ModelInferRequest(
        model_name=model,
        model_version=version,
        inputs=[
            {
                "name": "text",
                "datatype": "BYTES",
                "shape": [1],
                "contents": {"bytes_contents": [b"1234567890"]},
            }
        ],
    )


async def test_version_by_call(bundles):
    """A call, a stream and ListTasks can name a loaded version; others are told what there is."""
    async with (
        running(bundles[0], admin_port=0) as (server, _),
        admin_of(server) as port,
        AsyncClient(server.ready.address) as client,
    ):
        await beside(port, bundles[2])
        await send(port, canaries=shares(v3=1))
        for version in ("1", "3"):
            answer = await client.annotate_many(["the fans"], bundle_version=version)
            assert answer.info.bundle_version == version
            bundle = await client.list_tasks(bundle_version=version)
            assert bundle.version == version
            items = client.annotate_stream(["the fans"], ["pos"], bundle_version=version)
            assert [outcome.annotation is not None async for outcome in items] == [True]
        with pytest.raises(NotFoundError, match="'7' is not loaded; there are '1', '3'"):
            await client.annotate("the fans", bundle_version="7")
        with pytest.raises(NotFoundError, match="'7' is not loaded; there are '1', '3'"):
            await client.list_tasks(bundle_version="7")
        (outcome,) = [
            outcome async for outcome in client.annotate_stream(["x"], ["pos"], bundle_version="7")
        ]
        assert outcome.error.code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("traffic", "field"),
    [
        ({"primary_version": "9"}, "traffic.primary_version"),
        ({"canaries": shares(v9=0.1)}, "traffic.canaries[0].bundle_version"),
        ({"canaries": shares(v1=0.1)}, "traffic.canaries[0].bundle_version"),
        ({"canaries": shares(v2=1.1)}, "traffic.canaries[0].part"),
        ({"canaries": shares(v2=float("nan"))}, "traffic.canaries[0].part"),
        ({"shadows": shares(v2=-0.1)}, "traffic.shadows[0].part"),
        ({"shadows": [*shares(v2=0.1), *shares(v2=0.1)]}, "traffic.shadows[1].bundle_version"),
    ],
)
async def test_impossible_traffic(bundles, traffic, field):
    """Traffic that cannot be is refused with the field, and nothing changes."""
    async with running(bundles[0], admin_port=0) as (server, _), admin_of(server) as port:
        await beside(port, bundles[1])
        before = await send(port, canaries=shares(v2=0.5))
        with pytest.raises(grpc.RpcError) as caught:
            await send(port, **traffic)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        violations = details(caught.value)[BadRequest].field_violations
        assert field in [violation.field for violation in violations]
        assert (await port.ListBundles(admin.ListBundlesRequest())).traffic == before


@pytest.mark.parametrize(
    ("version", "code"),
    [
        ("1", grpc.StatusCode.FAILED_PRECONDITION),
        ("9", grpc.StatusCode.NOT_FOUND),
        ("", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_unload_refused(bundles, version, code):
    """The primary stays, and what is not there cannot go."""
    async with running(bundles[0], admin_port=0) as (server, _), admin_of(server) as port:
        with pytest.raises(grpc.RpcError) as caught:
            await port.UnloadBundle(admin.UnloadBundleRequest(bundle_version=version))
        assert caught.value.code() is code


async def test_version_in_use(bundles, tmp_path):
    """Two different bundles of one version cannot be told apart, so only one is loaded."""
    twin = write_tiny_bundle(tmp_path / "twin", "1", HEADS[:1])
    async with running(bundles[0], admin_port=0) as (server, stub), admin_of(server) as port:
        with pytest.raises(grpc.RpcError) as caught:
            await beside(port, twin)
        assert "give each its own version" in caught.value.details()
        await port.ReloadBundle(admin.ReloadBundleRequest(path=str(twin)))
        answer = await stub.Annotate(REQUEST)
        assert len(answer.annotations[0].results) == 1
        await until(lambda: server._bundles.roster.in_memory == 1)


def test_parts_of_calls():
    """Over many ids canaries get their parts, and shadows theirs of each."""
    traffic = Traffic("1", (Share("2", 0.2), Share("3", 0.1)), (Share("4", 0.5),))
    ids = [str(number) for number in range(4_000)]
    canaries = [traffic.canary(name) for name in ids]
    assert abs(canaries.count("2") / 4_000 - 0.2) < 0.03
    assert abs(canaries.count("3") / 4_000 - 0.1) < 0.03
    copied = [name for name in ids if list(traffic.shadows_of(name))]
    assert abs(len(copied) / 4_000 - 0.5) < 0.04
    assert abs(sum(traffic.canary(name) == "2" for name in copied) / len(copied) - 0.2) < 0.05


def test_turns():
    """Turns go in order; who yields comes after so many others, and before the rest."""
    order: list[str] = []
    cores = Cores(1)
    cores.take()
    turns = _waiting(cores, order)
    cores.give()
    for thread in turns:
        thread.join()
    assert order == ["a", "b", "humble", "c"]


def _waiting(cores, order):
    """Threads that wait for a turn each, in this order of coming."""

    def work(name, yields):
        cores.take(yields)
        order.append(name)
        cores.give()

    threads = []
    for name, yields in (("humble", 2), ("a", 0), ("b", 0), ("c", 0)):
        threads.append(threading.Thread(target=work, args=(name, yields)))
        threads[-1].start()
        while len(cores._line) + len(cores._humble) < len(threads):
            time.sleep(0.001)
    return threads
