"""JSON through the gateway says what gRPC says, errors included."""

from __future__ import annotations

import grpc
import pytest
from gateway_processes import PATIENCE, ask
from google.protobuf.json_format import MessageToDict

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub

INVALID_ARGUMENT, DEADLINE_EXCEEDED = 3, 4
REQUEST = {
    "documents": [
        {"text": "the fans won in Berlin"},
        {"words": {"words": ["the", "team", "😀", "lost"]}},
    ],
    "tasks": ["*"],
    "offsetUnit": "OFFSET_UNIT_UTF16",
}


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.address) as channel:
        yield AnnotationServiceStub(channel)


@pytest.fixture(scope="module")
def stub_through(gateway):
    with grpc.insecure_channel(gateway.address.removeprefix("http://")) as channel:
        yield AnnotationServiceStub(channel)


def as_grpc(request):
    return pb.AnnotateRequest(
        documents=[
            {"text": request["documents"][0]["text"]},
            {"words": request["documents"][1]["words"]},
        ],
        tasks=request["tasks"],
        offset_unit=request["offsetUnit"],
    )


def plain(answer):
    """The answer without times, as JSON says it where nothing is left out."""
    found = MessageToDict(answer, always_print_fields_with_no_presence=True)
    found.pop("timings", None)
    return found


def close(found, wanted):
    """Equal but for the last digits of numbers, which JSON writers round in their own ways."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        return all(close(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(close, found, wanted))
    return found == (pytest.approx(wanted, abs=1e-5) if isinstance(wanted, float) else wanted)


def test_annotate_is_the_same(gateway, stub):
    """Annotate over JSON gives the very results of gRPC, zeros and empty lists included."""
    answer = ask(gateway, "/v1/annotate", REQUEST)
    assert answer.status == 200
    found = answer.json
    assert found.pop("timings")["encodeSeconds"] > 0
    assert close(found, plain(stub.Annotate(as_grpc(REQUEST), timeout=PATIENCE)))
    words = found["annotations"][1]["results"][2]["tagging"]["words"]
    assert [(word["start"], word["end"]) for word in words] == [(0, 3), (4, 8), (9, 11), (12, 16)]


def test_grpc_passes(stub, stub_through):
    """The same gRPC client works against the gateway."""
    direct = stub.Annotate(as_grpc(REQUEST), timeout=PATIENCE)
    through = stub_through.Annotate(as_grpc(REQUEST), timeout=PATIENCE)
    assert plain(through) == plain(direct)
    items = [{"id": "1", "document": {"text": "the fans"}}]
    messages = [pb.AnnotateStreamRequest(items=items, tasks=["topic"])] * 3
    answers = list(stub_through.AnnotateStream(iter(messages), timeout=PATIENCE))
    assert [answer.outcomes[0].id for answer in answers] == ["1", "1", "1"]


def test_snake_case_and_unknown_fields(gateway):
    """Names as in the protos are understood; fields nobody knows are passed over."""
    body = {"documents": [{"text": "fans", "x": 1}], "tasks": ["topic"], "y": {}}
    answer = ask(gateway, "/v1/annotate", {**body, "offset_unit": "OFFSET_UNIT_UTF8_BYTE"})
    assert (answer.status, answer.json["offsetUnit"]) == (200, "OFFSET_UNIT_UTF8_BYTE")


def test_list_tasks(gateway, stub):
    """ListTasks is a GET."""
    answer = ask(gateway, "/v1/tasks")
    assert answer.status == 200
    assert answer.json == plain(stub.ListTasks(pb.ListTasksRequest(), timeout=PATIENCE))


def test_stream(gateway):
    """A stream is an array each way; an item at fault has its own error with details."""
    messages = [
        {"items": [{"id": "good", "document": {"text": "the fans"}}], "tasks": ["topic"]},
        {"items": [{"id": "bad", "document": {"text": " "}}], "tasks": ["topic"]},
    ]
    answer = ask(gateway, "/v1/annotate:stream", messages)
    outcomes = {one["outcomes"][0]["id"]: one["outcomes"][0] for one in answer.json}
    assert outcomes["good"]["annotation"]["results"][0]["task"] == "topic"
    (violation,) = outcomes["bad"]["error"]["details"][0]["fieldViolations"]
    assert violation["field"] == "items[0].document.text"
    assert ask(gateway, "/v1/annotate:stream", []).json == []


def test_a_stream_that_ends_with_an_error_says_so(gateway):
    """Its array is closed all the same: the error is its last element, or else the status."""
    good = {"items": [{"id": "good", "document": {"text": "the fans"}}], "tasks": ["topic"]}
    answer = ask(gateway, "/v1/annotate:stream", [good, {}, good])
    assert answer.status == 200
    first, last = answer.json
    assert first["outcomes"][0]["id"] == "good"
    (outcome,) = last["outcomes"]
    assert (outcome["id"], outcome["error"]["code"]) == ("", INVALID_ARGUMENT)
    assert outcome["error"]["details"][0]["fieldViolations"][0]["field"] == "items"
    assert ask(gateway, "/v1/annotate:stream", [{}, good]).status == 400


@pytest.mark.parametrize("given", ["abc", "-1S", "5", "999999999S", "S", "1 S"])
def test_a_deadline_that_is_none(gateway, given):
    """Refused before a server hears of it."""
    answer = ask(gateway, "/v1/annotate", {}, grpc_timeout=given)
    assert answer.status == 400
    assert "header grpc-timeout must be" in answer.json["message"]
    assert answer.json["code"] == INVALID_ARGUMENT


@pytest.mark.parametrize("stream", [False, True])
def test_a_deadline_that_passes(gateway, stream):
    """Single calls and streams alike, before anything was answered."""
    body = {"documents": [{"text": "the fans " * 2000}] * 5, "tasks": ["*"]}
    items = [{"id": "", "document": document} for document in body["documents"]]
    path, body = (
        ("/v1/annotate:stream", [{"items": items, "tasks": ["*"]}])
        if stream
        else ("/v1/annotate", body)
    )
    answer = ask(gateway, path, body, grpc_timeout="20m")
    assert (answer.status, answer.json["code"]) == (504, DEADLINE_EXCEEDED)


def test_broken_contract(gateway):
    """A request that breaks the contract is 400 with BadRequest, naming the fields."""
    body = {"documents": [{"text": " "}, {}], "tasks": ["nope"]}
    answer = ask(gateway, "/v1/annotate", body, x_request_id="bad-1")
    assert (answer.status, answer.json["code"]) == (400, 3)
    fields = [one["field"] for one in answer.details()["BadRequest"]["fieldViolations"]]
    assert fields == ["tasks[0]", "documents[0].text", "documents[1].source"]
    assert answer.details()["RequestInfo"]["requestId"] == "bad-1"
    assert answer.headers["x-request-id"] == "bad-1"


@pytest.mark.parametrize(
    "body",
    [
        b'{"documents": [',
        b"[]",
        b'{"documents": "the fans"}',
        b'{"documents": [{"text": 7}]}',
        b'{"offsetUnit": "MILES"}',
        b'{"documents": [{"text": "\xff\xff"}], "tasks": ["topic"]}',
        b"",
    ],
)
def test_not_the_message(gateway, body):
    """Bodies that are no JSON, or not of the message, are 400 in the same form."""
    answer = ask(gateway, "/v1/annotate", body)
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert answer.json["message"]
    assert answer.details()["RequestInfo"]["requestId"] == answer.headers["x-request-id"]


def test_unknown_query_parameter(gateway):
    """A query parameter that nobody knows is 400."""
    answer = ask(gateway, "/v1/tasks?page=2")
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert "page" in answer.json["message"]


def test_unknown_path(gateway):
    """A path that leads nowhere is 404, in the same form."""
    answer = ask(gateway, "/v1/nothing")
    assert (answer.status, answer.json["code"]) == (404, 5)


def test_other_verb(gateway):
    """A known path with another verb is 405 and names those it has."""
    answer = ask(gateway, "/v1/annotate")
    assert (answer.status, answer.headers["allow"], answer.json["code"]) == (405, "POST", 12)


def test_too_large(gateway):
    """A body beyond the limit is 413; the one before it passes."""
    body = {"documents": [{"text": "fan " * 45_000}], "tasks": ["topic"]}
    assert ask(gateway, "/v1/annotate", body).status == 400  # more code points than a text may have
    body["documents"][0]["text"] *= 2
    answer = ask(gateway, "/v1/annotate", body)
    assert (answer.status, answer.json["code"]) == (413, 8)
