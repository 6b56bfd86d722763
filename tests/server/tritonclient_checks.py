"""What users do with the public tritonclient, run by its own Python beside a server of ours.

    python tritonclient_checks.py GRPC_ADDRESS HTTP_ADDRESS < MESSAGES

MESSAGES is a JSON object: the fields of our messages, by name.

Prints one JSON object: "ok" or a traceback for each check.
"""

import asyncio
import inspect
import json
import sys
import threading
import traceback

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.grpc.aio as over_aio_grpc
import tritonclient.http as over_http
import tritonclient.http.aio as over_aio_http
from tritonclient.utils import InferenceServerException

GRPC, HTTP = sys.argv[1:]
MESSAGES = json.load(sys.stdin)
TEXTS = np.array([b"the fans won", "na\u00efve fans \U0001f600 in word".encode()], np.object_)
LIBRARIES = {over_grpc: GRPC, over_http: HTTP}
AIO_LIBRARIES = {over_aio_grpc: GRPC, over_aio_http: HTTP}


def inputs(library, texts=TEXTS, shape=None, name="text", **options):
    tensor = library.InferInput(name, shape or list(texts.shape), "BYTES")
    tensor.set_data_from_numpy(texts, **options)
    return [tensor]


def wanted(library, *names, **options):
    return [library.InferRequestedOutput(name, **options) for name in names]


def connect(library):
    client = library.InferenceServerClient
    return client(LIBRARIES.get(library) or AIO_LIBRARIES[library])


def refused(call, *args, **options):
    try:
        call(*args, **options)
    except InferenceServerException as error:
        return error.status(), error.message()
    raise AssertionError("was not refused")


def decoded(result, name):
    return [json.loads(row) for row in result.as_numpy(name)]


def check_every_output(result):
    """The outputs of the all-tasks model fit each other and the texts."""
    texts = [text.decode() for text in TEXTS]
    labels = result.as_numpy("sentiment.label")
    score, scores = result.as_numpy("sentiment.score"), result.as_numpy("sentiment.scores")
    assert labels.shape == score.shape == (2,)
    assert scores.shape == (2, 3)
    assert scores.dtype == score.dtype == np.float32
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(scores.max(axis=1), score)
    names = [b"negative", b"neutral", b"positive"]
    assert [names[index] for index in scores.argmax(axis=1)] == list(labels)
    words, tags = decoded(result, "pos.words"), decoded(result, "pos.tags")
    assert [len(row) for row in words] == list(result.as_numpy("pos.counts")) == [3, 5]
    assert [[word["tag"] for word in row] for row in words] == tags
    spans = decoded(result, "entities.spans")
    assert [len(row) for row in spans] == list(result.as_numpy("entities.counts"))
    for text, row in zip(texts, [a + b for a, b in zip(words, spans, strict=True)], strict=True):
        for entry in row:
            assert text[entry["start"] : entry["end"]] == entry["text"]


def check_messages():
    """Each field of ours has the number and the type that the client's has."""
    pool = over_grpc.service_pb2.DESCRIPTOR.pool
    for name, message in MESSAGES.items():
        theirs = pool.FindMessageTypeByName(name).fields_by_name
        for field, shape in message.items():
            found = theirs[field]
            inner = found.message_type.full_name if found.message_type else ""
            oneof = found.containing_oneof.name if found.containing_oneof else ""
            assert [found.number, found.type, found.is_repeated, inner, oneof] == shape, (
                name,
                field,
            )
    states = pool.FindEnumTypeByName("inference.DataType").values_by_name
    assert (states["TYPE_INT32"].number, states["TYPE_FP32"].number) == (8, 11)
    assert states["TYPE_STRING"].number == 13


def check_health_and_metadata():
    for library in LIBRARIES:
        with connect(library) as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready("sentiment")
            assert client.is_model_ready("sentiment", "1")
            assert not client.is_model_ready("sentiment", "2")
            assert not client.is_model_ready("mood")


def check_grpc_metadata():
    with connect(over_grpc) as client:
        server = client.get_server_metadata(as_json=True)
        assert server["name"] == "polyhead"
        assert "binary_tensor_data" in server["extensions"]
        model = client.get_model_metadata("sentiment")
        assert (model.name, model.versions, model.platform) == ("sentiment", ["1"], "polyhead")
        assert [(i.name, i.datatype, list(i.shape)) for i in model.inputs] == [
            ("text", "BYTES", [-1])
        ]
        assert [(o.name, o.datatype, list(o.shape)) for o in model.outputs] == [
            ("label", "BYTES", [-1]),
            ("score", "FP32", [-1]),
            ("scores", "FP32", [-1, 3]),
        ]
        config = client.get_model_config("sentiment", as_json=True)["config"]
        assert config["output"][2]["dims"] == ["-1", "3"]
        assert config["output"][2]["data_type"] == "TYPE_FP32"
        labels = config["parameters"]["labels"]["string_value"]
        assert json.loads(labels) == ["negative", "neutral", "positive"]
        index = client.get_model_repository_index()
        assert [model.name for model in index.models][-1] == "polyhead"
        assert {model.state for model in index.models} == {"READY"}


def check_http_metadata():
    with connect(over_http) as client:
        assert client.get_server_metadata()["name"] == "polyhead"
        model = client.get_model_metadata("sentiment", model_version="1")
        assert model["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
        assert model["outputs"][2] == {"name": "scores", "datatype": "FP32", "shape": [-1, 3]}
        config = client.get_model_config("polyhead")
        assert config["max_batch_size"] == 0
        assert "sentiment.labels" in config["parameters"]
        assert client.get_model_repository_index()[-1]["name"] == "polyhead"


def check_all_tasks():
    for library in LIBRARIES:
        with connect(library) as client:
            result = client.infer("polyhead", inputs(library), request_id="my id")
            response = result.get_response()
            echoed = response["id"] if library is over_http else response.id
            assert echoed == "my id"
            check_every_output(result)


def check_column_of_texts():
    for library in LIBRARIES:
        with connect(library) as client:
            column = inputs(library, TEXTS.reshape(2, 1))
            assert client.infer("topic", column).as_numpy("label").shape == (2,)


def check_json_over_http():
    with connect(over_http) as client:
        given = inputs(over_http, binary_data=False)
        names = list(client.get_model_metadata("polyhead")["outputs"])
        plain = wanted(over_http, *(o["name"] for o in names), binary_data=False)
        result = client.infer("polyhead", given, outputs=plain)
        assert isinstance(result.get_output("sentiment.label")["data"][0], str)
        words = [json.loads(row) for row in result.get_output("pos.words")["data"]]
        assert words[0][0]["text"] == "the"
        half = wanted(over_http, "pos.tags", "pos.counts", binary_data=False)
        half += wanted(over_http, "topic.scores", binary_data=True)
        mixed = client.infer("polyhead", given, outputs=half)
        assert list(mixed.as_numpy("pos.counts")) == [3, 5]
        assert mixed.as_numpy("topic.scores").shape == (2, 2)


def check_compression():
    with connect(over_http) as client:
        for algorithm in ("gzip", "deflate"):
            result = client.infer(
                "polyhead",
                inputs(over_http),
                request_compression_algorithm=algorithm,
                response_compression_algorithm=algorithm,
            )
            check_every_output(result)
    with connect(over_grpc) as client:
        result = client.infer("polyhead", inputs(over_grpc), compression_algorithm="gzip")
        check_every_output(result)


def check_wires_agree():
    results = []
    for library in LIBRARIES:
        with connect(library) as client:
            results.append(client.infer("polyhead", inputs(library)))
    one, other = results
    for output in one.get_response().outputs:
        assert np.array_equal(one.as_numpy(output.name), other.as_numpy(output.name))


def check_requested_outputs():
    for library in LIBRARIES:
        with connect(library) as client:
            only = wanted(library, "topic.label", "pos.counts")
            result = client.infer("polyhead", inputs(library), outputs=only)
            assert result.as_numpy("topic.label").shape == (2,)
            assert result.as_numpy("sentiment.label") is None


def check_best_classes():
    for library in LIBRARIES:
        with connect(library) as client:
            best = wanted(library, "scores", class_count=2)
            result = client.infer("sentiment", inputs(library), outputs=best)
            rows = result.as_numpy("scores")
            assert rows.shape == (2, 2)
            score, index, label = rows[0, 0].decode().split(":")
            assert label == ["negative", "neutral", "positive"][int(index)]
            assert float(score) >= float(rows[0, 1].decode().split(":")[0])


def check_parameters():
    for library in LIBRARIES:
        with connect(library) as client:
            result = client.infer(
                "pos",
                inputs(library),
                parameters={"offset_unit": "utf8_byte", "somebody": "else's"},
                priority=3,
                timeout=5_000_000,
                sequence_id=7,
                sequence_start=True,
                model_version="1",
            )
            for text, row in zip(TEXTS, decoded(result, "words"), strict=True):
                for word in row:
                    assert text[word["start"] : word["end"]].decode() == word["text"]


def check_statistics():
    for library in LIBRARIES:
        with connect(library) as client:
            client.infer("topic", inputs(library))
            refused(client.infer, "topic", inputs(library, np.array([b""], np.object_)))
    with connect(over_http) as client:
        (topic,) = client.get_inference_statistics("topic")["model_stats"]
        assert topic["inference_stats"]["success"]["count"] >= 2
        assert topic["inference_stats"]["fail"]["count"] >= 2
        assert topic["inference_count"] >= 2 * topic["execution_count"] - 2
    with connect(over_grpc) as client:
        assert len(client.get_inference_statistics().model_stats) == 5


def check_errors():
    missing, wrong = ("StatusCode.NOT_FOUND", "404"), ("StatusCode.INVALID_ARGUMENT", "400")
    unit = {"offset_unit": "inch"}
    for library in LIBRARIES:
        mood = wanted(library, "mood")
        with connect(library) as client:
            for model, options, statuses, text in (
                ("mood", {}, missing, "'mood' is not found"),
                ("topic", {"model_version": "9"}, missing, "'topic' version '9' is not found"),
                ("topic", {"outputs": mood}, wrong, "unexpected inference output 'mood' for model"),
                ("topic", {"parameters": unit}, wrong, "one of 'code_point', 'utf8_byte', 'utf16'"),
            ):
                found = refused(client.infer, model, inputs(library), **options)
                assert found[0] in statuses, found
                assert text in found[1], found


def check_bad_inputs():
    for library in LIBRARIES:
        with connect(library) as client:
            numbers = library.InferInput("text", [2], "INT32")
            numbers.set_data_from_numpy(np.array([1, 2], np.int32))
            square = np.array([[b"a", b"b"], [b"c", b"d"]], np.object_)
            short = inputs(library)
            short[0].set_shape([3])
            twice = [*inputs(library), *inputs(library)]
            for given, text in (
                ([numbers], "unexpected data type 'INT32'"),
                (inputs(library, name="document"), "unexpected inference input 'document'"),
                (inputs(library, square), "unexpected shape [2,2]"),
                (short, "expected 3 elements but got 2"),
                (twice, "'text' is given twice"),
                ([], "expected 1 input, 'text', but got 0"),
                (inputs(library, np.array([b"a", b" "], np.object_)), "text[1]: must hold"),
                (inputs(library, np.array([b"\xff"], np.object_)), "text[0]: is not valid UTF-8"),
            ):
                status, message = refused(client.infer, "topic", given)
                assert status in ("StatusCode.INVALID_ARGUMENT", "400"), status
                assert text in message, (text, message)


def check_shared_memory_is_refused():
    for library in LIBRARIES:
        with connect(library) as client:
            given = library.InferInput("text", [2], "BYTES")
            given.set_shared_memory("region", 64)
            status, message = refused(client.infer, "topic", [given])
            assert status in ("StatusCode.INVALID_ARGUMENT", "400")
            assert "shared memory is not supported" in message
            status, message = refused(client.register_system_shared_memory, "region", "/key", 64)
            assert status in ("StatusCode.UNIMPLEMENTED", "404")


def check_not_offered():
    with connect(over_grpc) as client:
        status, message = refused(client.load_model, "topic")
        assert status == "StatusCode.UNIMPLEMENTED"
        assert message == "RepositoryModelLoad is not supported by this server"
        assert refused(client.get_log_settings)[0] == "StatusCode.UNIMPLEMENTED"
    with connect(over_http) as client:
        assert refused(client.unload_model, "topic")[0] == "404"


def check_async_infer():
    with connect(over_grpc) as client:
        done = threading.Event()
        found = []

        def callback(result, error):
            found.extend([result, error])
            done.set()

        client.async_infer("polyhead", inputs(over_grpc), callback)
        assert done.wait(20)
        assert found[1] is None
        check_every_output(found[0])
    with connect(over_http) as client:
        check_every_output(client.async_infer("polyhead", inputs(over_http)).get_result())


def check_stream():
    with connect(over_grpc) as client:
        found, done = [], threading.Event()

        def callback(result, error):
            found.append((result, error))
            if len(found) == 21:
                done.set()

        client.start_stream(callback)
        for number in range(20):
            client.async_stream_infer("topic", inputs(over_grpc), request_id=str(number))
        client.async_stream_infer("mood", inputs(over_grpc), request_id="bad")
        assert done.wait(20)
        client.stop_stream()
        results, errors = found[:20], found[20:]
        assert [result.get_response().id for result, _ in results] == [str(n) for n in range(20)]
        assert all(result.as_numpy("label").shape == (2,) for result, _ in results)
        assert "'mood' is not found" in errors[0][1].message()


async def check_aio():
    for library in AIO_LIBRARIES:
        async with connect(library) as client:
            assert await client.is_server_ready()
            given = inputs(library)
            calls = [client.infer("polyhead", given, request_id=str(n)) for n in range(10)]
            for result in await asyncio.gather(*calls):
                check_every_output(result)
            message = ""
            try:
                await client.infer("mood", given)
            except InferenceServerException as error:
                message = error.message()
            assert "'mood' is not found" in message


async def check_aio_stream():
    async with connect(over_aio_grpc) as client:

        async def requests():
            for number in range(5):
                yield {
                    "model_name": "topic",
                    "inputs": inputs(over_aio_grpc),
                    "request_id": str(number),
                }

        ids = []
        async for result, error in client.stream_infer(requests()):
            assert error is None
            ids.append(result.get_response().id)
        assert ids == ["0", "1", "2", "3", "4"]


def run(check):
    try:
        result = check()
        if inspect.iscoroutine(result):
            asyncio.run(result)
    except Exception:  # noqa: BLE001 - told to whoever runs this
        return traceback.format_exc()
    return "ok"


CHECKS = {
    name: check
    for name, check in list(globals().items())
    if name.startswith("check_") and not inspect.signature(check).parameters
}

if __name__ == "__main__":
    print(json.dumps({name: run(check) for name, check in CHECKS.items()}))  # noqa: T201 - the answer
