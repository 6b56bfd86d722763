"""The Open Inference Protocol over gRPC: heads as models, through the same doors as Annotate."""

from __future__ import annotations

import asyncio
import contextlib
import json

import grpc
import pytest
from background_server import PATIENCE, Gate, details, fields, primary, running, until
from google.rpc.error_details_pb2 import RequestInfo, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from polyhead.v1 import annotation_service_pb2, document_pb2
from polyhead_server.inference import open_inference_pb2 as pb
from polyhead_server.schedule import Priority

SERVICE = "inference.GRPCInferenceService"


class Stub:
    """The service's methods on a channel, blocking or not."""

    def __init__(self, channel) -> None:
        self._channel = channel

    def __getattr__(self, name):
        answer = getattr(pb, f"{name}Response")
        return self._channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=getattr(pb, f"{name}Request").SerializeToString,
            response_deserializer=answer.FromString,
        )

    def stream(self, requests=None):
        return self._channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer",
            request_serializer=pb.ModelInferRequest.SerializeToString,
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )(requests)


@pytest.fixture(scope="module")
def inference(server):
    return Stub(server.channel)


@contextlib.asynccontextmanager
async def serving(bundle, **settings):
    """A server in this event loop, and the service on a channel to it."""
    async with (
        running(bundle, **settings) as (server, _),
        grpc.aio.insecure_channel(server.ready.address) as channel,
    ):
        yield server, Stub(channel)


def text_input(*texts, shape=None, name="text", datatype="BYTES"):
    return pb.ModelInferRequest.InferInputTensor(
        name=name,
        datatype=datatype,
        shape=[len(texts)] if shape is None else shape,
        contents=pb.InferTensorContents(bytes_contents=[text.encode() for text in texts]),
    )


def request(*texts, model="topic", outputs=(), **options):
    wanted = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in outputs]
    return pb.ModelInferRequest(
        model_name=model, inputs=[text_input(*(texts or ["the fans"]))], outputs=wanted, **options
    )


def raw(*elements):
    return b"".join(len(one).to_bytes(4, "little") + one for one in elements)


def raw_request(content, count, model="topic"):
    tensor = pb.ModelInferRequest.InferInputTensor(name="text", datatype="BYTES", shape=[count])
    return pb.ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[content])


def contents(response, name):
    (output,) = [output for output in response.outputs if output.name == name]
    return output.contents


def refused(call, message, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=PATIENCE, **options)
    return caught.value


async def failed(call):
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value


def handled(server, method, code="OK", kind="unary"):
    labels = {"grpc_type": kind, "grpc_service": SERVICE, "grpc_method": method, "grpc_code": code}
    return server.metrics.registry.get_sample_value("grpc_server_handled_total", labels) or 0


def test_typed_in_typed_out(inference):
    """A request with typed contents is answered with typed contents, its id and the version."""
    response = inference.ModelInfer(request("the fans", "in word", model="polyhead", id="seven"))
    assert (response.model_name, response.model_version, response.id) == ("polyhead", "1", "seven")
    assert not response.raw_output_contents
    assert [(o.name, o.datatype, list(o.shape)) for o in response.outputs] == [
        ("sentiment.label", "BYTES", [2]),
        ("sentiment.score", "FP32", [2]),
        ("sentiment.scores", "FP32", [2, 3]),
        ("entities.spans", "BYTES", [2]),
        ("entities.counts", "INT32", [2]),
        ("pos.words", "BYTES", [2]),
        ("pos.tags", "BYTES", [2]),
        ("pos.counts", "INT32", [2]),
        ("topic.label", "BYTES", [2]),
        ("topic.score", "FP32", [2]),
        ("topic.scores", "FP32", [2, 2]),
    ]
    assert list(contents(response, "pos.counts").int_contents) == [2, 2]
    assert sum(contents(response, "sentiment.scores").fp32_contents) == pytest.approx(2, abs=1e-5)
    tags = [json.loads(row) for row in contents(response, "pos.tags").bytes_contents]
    assert [len(row) for row in tags] == [2, 2]


def test_raw_in_raw_out(inference):
    """A request in raw form is answered in raw form, one entry for each output."""
    response = inference.ModelInfer(raw_request(raw(b"the fans", b"word"), 2))
    assert [output.HasField("contents") for output in response.outputs] == [False] * 3
    label, score, scores = response.raw_output_contents
    assert label in (raw(one, two) for one in (b"a", b"b") for two in (b"a", b"b"))
    assert (len(score), len(scores)) == (2 * 4, 2 * 2 * 4)


def test_the_same_as_annotate(inference, stub):
    """Labels, scores and spans are those of Annotate."""
    text = "the fans in word won"
    documents = [document_pb2.Document(text=text)]
    annotated = stub.Annotate(
        annotation_service_pb2.AnnotateRequest(documents=documents, tasks=["*"]), timeout=PATIENCE
    )
    sentiment, entities, pos, _ = annotated.annotations[0].results
    response = inference.ModelInfer(request(text, model="polyhead"))
    (label,) = contents(response, "sentiment.label").bytes_contents
    assert label.decode() == sentiment.classification.label
    scores = [score.score for score in sentiment.classification.scores]
    assert list(contents(response, "sentiment.scores").fp32_contents) == scores
    (words,) = map(json.loads, contents(response, "pos.words").bytes_contents)
    assert [(w["text"], w["start"], w["end"], w["tag"]) for w in words] == [
        (w.text, w.start, w.end, w.tag) for w in pos.tagging.words
    ]
    (spans,) = map(json.loads, contents(response, "entities.spans").bytes_contents)
    assert [(s["text"], s["start"], s["end"], s["label"]) for s in spans] == [
        (s.text, s.start, s.end, s.label) for s in entities.spans.spans
    ]
    assert spans
    assert [s["score"] for s in spans] == pytest.approx(
        [s.score for s in entities.spans.spans], abs=1e-6
    )


def test_response_parameters(inference):
    """Windows, tokens, timings and the offset unit come with the answer."""
    response = inference.ModelInfer(request("the fans " * 100, "fans"))
    found = response.parameters
    assert found["offset_unit"].string_param == "code_point"
    assert found["windows"].int64_param > 2
    assert found["tokens"].int64_param == 201
    for stage in ("tokenize", "queue", "encode", "heads"):
        assert found[f"{stage}_seconds"].double_param >= 0
    assert found["encode_seconds"].double_param > 0


@pytest.mark.parametrize(
    ("unit", "start", "end"), [("code_point", 3, 7), ("utf8_byte", 6, 10), ("utf16", 4, 8)]
)
def test_offset_unit(inference, unit, start, end):
    """Offsets are counted in the unit asked for, which is echoed."""
    asked = request("😀! fans", model="pos", parameters={"offset_unit": pb.InferParameter()})
    asked.parameters["offset_unit"].string_param = unit
    response = inference.ModelInfer(asked)
    (words,) = map(json.loads, contents(response, "words").bytes_contents)
    assert (words[-1]["start"], words[-1]["end"]) == (start, end)
    assert response.parameters["offset_unit"].string_param == unit


def test_requested_outputs_come_alone(inference):
    """Requested outputs come alone, in the order asked for."""
    names = ["topic.scores", "pos.counts", "topic.label"]
    response = inference.ModelInfer(request(model="polyhead", outputs=names))
    assert [output.name for output in response.outputs] == names


def shared_memory():
    tensor = text_input("the fans")
    tensor.parameters["shared_memory_region"].string_param = "region"
    return tensor


def many_parameters():
    tensor = text_input("the fans")
    for number in range(2000):
        tensor.parameters[str(number)].bool_param = True
    return tensor


INPUTS = {
    "none": ([], "inputs"),
    "other name": ([text_input("a", name="document")], "inputs[0].name"),
    "twice": ([text_input("a"), text_input("b")], "inputs[1].name"),
    "hundreds of thousands": ([text_input()] * 300_000, "inputs"),
    "numbers": ([text_input(datatype="INT32", shape=[1])], "inputs[0].datatype"),
    "no shape": ([text_input("a", shape=[])], "inputs[0].shape"),
    "square": ([text_input(*"abcd", shape=[2, 2])], "inputs[0].shape"),
    "hundreds of thousands of dimensions": (
        [text_input("a", shape=[1] * 300_000)],
        "inputs[0].shape",
    ),
    "thousands of parameters": ([many_parameters()], "inputs[0].parameters"),
    "cube": ([text_input("a", shape=[1, 1, 1])], "inputs[0].shape"),
    "negative": ([text_input("a", shape=[-1])], "inputs[0].shape"),
    "no texts": ([text_input(shape=[0])], "inputs[0].shape"),
    "too many": ([text_input("a", shape=[1025])], "inputs[0].shape"),
    "absurdly many": ([text_input("a", shape=[2**62])], "inputs[0].shape"),
    "fewer than said": ([text_input("a", shape=[2])], "inputs[0]"),
    "more than said": ([text_input("a", "b", shape=[1])], "inputs[0]"),
    "shared memory": ([shared_memory()], "inputs[0].parameters"),
    "empty text": ([text_input("good", "")], "text[1]"),
    "too long": ([text_input("a" * 100_001)], "text[0]"),
    "too much": ([text_input(*["a" * 99_000] * 11)], "text"),
}


@pytest.mark.parametrize(("inputs", "field"), INPUTS.values(), ids=INPUTS.keys())
def test_bad_inputs(inference, inputs, field):
    """An input against the contract is INVALID_ARGUMENT and named."""
    message = pb.ModelInferRequest(model_name="topic", inputs=inputs)
    error = refused(inference.ModelInfer, message)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == [field]


RAW = {
    "cut short": (raw(b"fans")[:-1], 1),
    "length cut short": (raw(b"fans") + b"\x01", 2),
    "fewer": (raw(b"fans"), 2),
    "more": (raw(b"fans", b"word"), 1),
    "huge length": (b"\xff\xff\xff\xfffans", 1),
    "nothing": (b"", 1),
}


@pytest.mark.parametrize(("content", "count"), RAW.values(), ids=RAW.keys())
def test_bad_raw_contents(inference, content, count):
    """Raw contents that do not match the shape are INVALID_ARGUMENT."""
    error = refused(inference.ModelInfer, raw_request(content, count))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == ["raw_input_contents[0]"]


def test_raw_contents_and_inputs_go_together(inference):
    """One entry for each input, and no typed contents beside them."""
    both = request("fans", raw_input_contents=[raw(b"fans")])
    assert fields(refused(inference.ModelInfer, both)) == ["inputs[0].contents"]
    one = raw_request(raw(b"fans"), 1)
    one.raw_input_contents.append(b"")
    assert fields(refused(inference.ModelInfer, one)) == ["raw_input_contents"]


def test_text_that_is_not_utf8(inference):
    """Elements that are no UTF-8 are the caller's mistake, and all are named."""
    message = raw_request(raw(b"\xff", b"fans", b"\xed\xa0\x80"), 3)
    error = refused(inference.ModelInfer, message)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == ["text[0]", "text[2]"]


def test_strings_that_are_not_utf8(server):
    """So are names; the raw contents beside them are bytes by right and are not blamed."""
    good = raw_request(raw(b"x" * 200), 1)
    good.id = "@@"
    good.parameters["##"].string_param = "$$"
    data = good.SerializeToString()
    for mark in (b"@@", b"##", b"$$"):
        data = data.replace(mark, b"\xff\xff")
    call = server.channel.unary_unary(f"/{SERVICE}/ModelInfer")
    error = refused(call, data)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == ["id", "parameters[0].key", "parameters[0].value.string_param"]
    assert fields(refused(call, b"\xff\xff")) == ["message"]


def test_unknown_models_and_versions(inference):
    """They are NOT_FOUND, in every method that names one."""
    for name, version in (("mood", ""), ("topic", "2"), ("", "")):
        asked = {"name": name, "version": version}
        infer = request(model=name, model_version=version)
        for error in (
            refused(inference.ModelInfer, infer),
            refused(inference.ModelMetadata, pb.ModelMetadataRequest(**asked)),
            refused(inference.ModelConfig, pb.ModelConfigRequest(**asked)),
        ):
            assert error.code() is grpc.StatusCode.NOT_FOUND
            assert error.details().startswith("Request for unknown model: ")
        assert not inference.ModelReady(pb.ModelReadyRequest(**asked)).ready
    statistics = pb.ModelStatisticsRequest(name="mood")
    assert refused(inference.ModelStatistics, statistics).code() is grpc.StatusCode.NOT_FOUND


def test_bad_outputs(inference):
    """Outputs that do not exist, come twice or have no classes are INVALID_ARGUMENT."""
    for names in (["mood"], ["label", "label"], ["sentiment.label"]):
        error = refused(inference.ModelInfer, request(outputs=names))
        assert fields(error) == [f"outputs[{len(names) - 1}].name"]
    for name, classes in (("label", 1), ("scores", 0), ("scores", -1)):
        asked = request(outputs=[name])
        asked.outputs[0].parameters["classification"].int64_param = classes
        assert fields(refused(inference.ModelInfer, asked)) == ["outputs[0].parameters"]


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("offset_unit", "string_param", "inch"),
        ("offset_unit", "int64_param", 1),
        ("timeout", "int64_param", -1),
        ("timeout", "string_param", "soon"),
        ("timeout", "bool_param", True),
        ("priority", "string_param", "high"),
        ("priority", "int64_param", -1),
        ("priority", "bool_param", True),
    ],
)
def test_bad_parameters(inference, name, kind, value):
    """A parameter that the server knows must be of its kind."""
    asked = request()
    setattr(asked.parameters[name], kind, value)
    assert fields(refused(inference.ModelInfer, asked)) == [f"parameters.{name}"]


def test_errors_carry_the_request_id(inference):
    """Errors have google.rpc details like those of Annotate."""
    error = refused(inference.ModelInfer, request(""), metadata=(("x-request-id", "my-call"),))
    assert details(error)[RequestInfo].request_id == "my-call"


def test_methods_that_are_not_offered(server):
    """Extensions of the protocol that make no sense here are UNIMPLEMENTED, by name."""
    for name in ("RepositoryModelLoad", "CudaSharedMemoryStatus", "TraceSetting"):
        call = server.channel.unary_unary(f"/{SERVICE}/{name}")
        error = refused(call, b"")
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert error.details() == f"{name} is not supported by this server"


async def test_health_and_reflection(tiny_bundle):
    """The service has a health of its own, and tools find it by reflection."""
    async with (
        running(tiny_bundle) as (server, _),
        grpc.aio.insecure_channel(server.ready.address) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        health = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE))
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE))
        answer = await call.read()
        assert answer.file_descriptor_response.file_descriptor_proto
        await call.done_writing()


async def test_full_queue_is_refused(tiny_bundle):
    """It is refused at once like Annotate, with RetryInfo."""
    async with serving(tiny_bundle, queue_tokens=1) as (server, stub):
        gate = Gate(server)
        first = asyncio.ensure_future(stub.ModelInfer(request(), timeout=PATIENCE))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        second = asyncio.ensure_future(stub.ModelInfer(request(), timeout=PATIENCE))
        await until(lambda: primary(server).batcher.waiting_tokens > 0)
        error = await failed(stub.ModelInfer(request(), timeout=PATIENCE))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert RetryInfo in details(error)
        gate.open()
        await asyncio.gather(first, second)
        assert handled(server, "ModelInfer") == 2
        assert handled(server, "ModelInfer", "ResourceExhausted") == 1


async def test_timeouts(tiny_bundle):
    """The request's timeout and the caller's deadline are kept while the engine is busy."""
    async with serving(tiny_bundle) as (server, stub):
        gate = Gate(server)
        first = asyncio.ensure_future(stub.ModelInfer(request(), timeout=PATIENCE))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        hurried = request()
        hurried.parameters["timeout"].uint64_param = 20_000
        for call in (stub.ModelInfer(hurried), stub.ModelInfer(request(), timeout=0.02)):
            error = await failed(call)
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        gate.open()
        assert (await first).outputs


@pytest.mark.parametrize(
    ("kind", "value", "lane"),
    [
        ("int64_param", 0, Priority.INTERACTIVE),
        ("uint64_param", 1, Priority.INTERACTIVE),
        ("uint64_param", 2, Priority.BULK),
        ("string_param", "interactive", Priority.INTERACTIVE),
        ("string_param", "bulk", Priority.BULK),
    ],
)
async def test_priorities(tiny_bundle, kind, value, lane):
    """A request waits in the lane that it names, in words or as clients of the protocol do."""
    async with serving(tiny_bundle) as (server, stub):
        gate = Gate(server)
        first = asyncio.ensure_future(stub.ModelInfer(request(), timeout=PATIENCE))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        asked = request()
        setattr(asked.parameters["priority"], kind, value)
        second = asyncio.ensure_future(stub.ModelInfer(asked, timeout=PATIENCE))
        await until(lambda: primary(server).batcher.lane_tokens(lane) > 0)
        gate.open()
        assert (await first).outputs
        assert (await second).outputs


async def test_cancellation(tiny_bundle):
    """A caller that goes away is dropped from the queue."""
    async with serving(tiny_bundle) as (server, stub):
        gate = Gate(server)
        first = asyncio.ensure_future(stub.ModelInfer(request(), timeout=PATIENCE))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        gone = stub.ModelInfer(request(), timeout=PATIENCE)
        gone_task = asyncio.ensure_future(gone)
        await until(lambda: primary(server).batcher.waiting_items == 1)
        gone.cancel()
        value = server.metrics.registry.get_sample_value
        await until(lambda: value("polyhead_cancelled_total") == 1)
        gate.open()
        assert (await first).outputs
        await asyncio.wait([gone_task])
        await until(lambda: handled(server, "ModelInfer", "Canceled") == 1)


async def test_our_fault_is_told_as_internal(tiny_bundle):
    """No text of a fault reaches the caller, of single calls or of streams."""
    async with serving(tiny_bundle) as (server, stub):

        def fail(jobs):
            raise ValueError("the secret reason")

        primary(server).batcher._threads._encode = fail
        error = await failed(stub.ModelInfer(request(), timeout=PATIENCE))
        assert error.code() is grpc.StatusCode.INTERNAL
        assert error.details() == "internal error"
        call = stub.stream()
        await call.write(request(id="x"))
        await call.done_writing()
        answer = await call.read()
        assert (answer.error_message, answer.infer_response.id) == ("internal error", "x")


async def test_bearer_tokens(tiny_bundle, tmp_path):
    """Inference needs a token where Annotate does; probes do not."""
    file = tmp_path / "tokens"
    file.write_text("secret\n")
    async with serving(tiny_bundle, token_file=file) as (_, stub):
        error = await failed(stub.ModelInfer(request(), timeout=PATIENCE))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        error = await failed(stub.ModelMetadata(pb.ModelMetadataRequest(name="topic")))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert (await stub.ServerLive(pb.ServerLiveRequest())).live
        assert (await stub.ServerReady(pb.ServerReadyRequest())).ready
        token = (("authorization", "Bearer secret"),)
        assert (await stub.ModelInfer(request(), metadata=token, timeout=PATIENCE)).outputs
        call = stub.stream()
        with pytest.raises(grpc.RpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_stream_answers_in_order_each_for_itself(tiny_bundle):
    """Each request has one answer, in order; a bad one harms no other."""
    async with serving(tiny_bundle) as (server, stub):
        call = stub.stream()
        for number in range(30):
            bad = number % 10 == 5
            await call.write(request("" if bad else "the fans", id=str(number)))
        await call.done_writing()
        answers = [answer async for answer in call]
        assert [answer.infer_response.id for answer in answers] == [str(n) for n in range(30)]
        errors = [n for n, answer in enumerate(answers) if answer.error_message]
        assert errors == [5, 15, 25]
        assert answers[5].error_message.startswith("text[0]: must hold")
        assert handled(server, "ModelStreamInfer", kind="bidi_stream") == 1


async def test_stream_waits_for_room(tiny_bundle):
    """A stream is not refused when the queue is full, and reads only as much as it may hold."""
    async with serving(tiny_bundle, queue_tokens=1, stream_items=4) as (server, stub):
        gate = Gate(server)
        call = stub.stream()
        sent = []

        async def send():
            for number in range(20):
                await call.write(request("the fans", "word", id=str(number)))
                sent.append(number)
            await call.done_writing()

        sending = asyncio.create_task(send())
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        received = "grpc_server_msg_received_total"
        labels = dict(
            zip(
                ("grpc_type", "grpc_service", "grpc_method"),
                ("bidi_stream", SERVICE, "ModelStreamInfer"),
                strict=True,
            )
        )
        count = server.metrics.registry.get_sample_value
        await until(lambda: count(received, labels) == 2)
        gate.open()
        answers = [answer async for answer in call]
        await sending
        assert [answer.error_message for answer in answers] == [""] * 20


async def test_stream_ends_when_the_server_drains(tiny_bundle):
    """What was read is answered, then the stream ends with UNAVAILABLE."""
    async with serving(tiny_bundle) as (server, stub):
        gate = Gate(server)
        call = stub.stream()
        await call.write(request(id="read"))
        await asyncio.to_thread(gate.entered.wait, PATIENCE)
        stopping = asyncio.create_task(server.stop())
        await until(lambda: server._calls.draining)
        gate.open()
        assert (await call.read()).infer_response.id == "read"
        with pytest.raises(grpc.RpcError) as caught:
            await call.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await stopping is True


async def test_statistics(tiny_bundle):
    """Requests, texts and their time are told by model."""
    async with serving(tiny_bundle) as (_, stub):
        for texts in (["fans"], ["the fans", "word"]):
            await stub.ModelInfer(request(*texts), timeout=PATIENCE)
        await failed(stub.ModelInfer(request(""), timeout=PATIENCE))
        answer = await stub.ModelStatistics(pb.ModelStatisticsRequest(name="topic"))
        (found,) = answer.model_stats
        assert (found.name, found.version) == ("topic", "1")
        assert (found.inference_count, found.execution_count) == (3, 2)
        assert found.last_inference > 0
        stats = found.inference_stats
        assert (stats.success.count, stats.fail.count, stats.compute_infer.count) == (2, 1, 2)
        assert stats.success.ns > stats.compute_infer.ns > 0
        everything = await stub.ModelStatistics(pb.ModelStatisticsRequest())
        assert [one.name for one in everything.model_stats] == [
            *("sentiment", "entities", "pos", "topic", "polyhead"),
        ]


def test_repository_index(inference):
    """Every head and the model of all heads are listed as ready."""
    for asked in (pb.RepositoryIndexRequest(), pb.RepositoryIndexRequest(ready=True)):
        index = inference.RepositoryIndex(asked, timeout=PATIENCE)
        assert [(m.name, m.version, m.state) for m in index.models] == [
            (name, "1", "READY") for name in ("sentiment", "entities", "pos", "topic", "polyhead")
        ]
