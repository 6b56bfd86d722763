"""AnnotateStream answers every message, harms no item for another's fault, and bounds its work."""

from __future__ import annotations

import grpc
import pytest
from background_server import (
    PATIENCE,
    fields,
    unpacked,
)
from google.rpc.error_details_pb2 import BadRequest, RequestInfo

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc


def item(name, text="the fans won"):
    return pb.StreamItem(id=name, document=doc.Document(text=text))


def message(*items, tasks=("pos",), unit=0):
    return pb.AnnotateStreamRequest(items=items, tasks=tasks, offset_unit=unit)


def ask(stub, *messages):
    return list(stub.AnnotateStream(iter(messages), timeout=PATIENCE))


def blamed(outcome):
    return [v.field for v in unpacked(outcome.error)[BadRequest].field_violations]


def test_each_message_has_one_answer(stub):
    """Every message is answered once, with one outcome per item in its order."""
    sent = [message(item(f"{n}a"), item(f"{n}b"), unit=2) for n in range(50)]
    answers = ask(stub, *sent)
    ids = sorted([outcome.id for outcome in answer.outcomes] for answer in answers)
    assert ids == sorted([f"{n}a", f"{n}b"] for n in range(50))
    assert all(answer.offset_unit == 2 for answer in answers)
    assert all(answer.bundle_version == "1" for answer in answers)


def test_same_results_as_annotate(stub):
    """A document has the same annotation on either way."""
    text = "the fans in the word won"
    (answer,) = ask(stub, message(item("a", text), tasks=["*"]))
    single = stub.Annotate(
        pb.AnnotateRequest(documents=[doc.Document(text=text)], tasks=["*"]), timeout=PATIENCE
    )
    labels = [result.classification.label for result in single.annotations[0].results]
    found = answer.outcomes[0].annotation
    assert [result.classification.label for result in found.results] == labels
    assert [word.tag for word in found.results[2].tagging.words] == [
        word.tag for word in single.annotations[0].results[2].tagging.words
    ]


def test_bad_item_disturbs_no_other(stub):
    """An item's error names its field, carries the request id, and leaves the others answered."""
    (answer,) = ask(
        stub,
        message(item("good"), item("bad", ""), item("long", "a" * 100_001), item("x" * 129)),
    )
    good, bad, long, named = answer.outcomes
    assert good.WhichOneof("outcome") == "annotation"
    assert [bad.id, long.id, named.id] == ["bad", "long", "x" * 129]
    assert {o.error.code for o in (bad, long, named)} == {grpc.StatusCode.INVALID_ARGUMENT.value[0]}
    assert [blamed(outcome) for outcome in (bad, long, named)] == [
        *(["items[1].document.text"], ["items[2].document.text"], ["items[3].id"])
    ]
    assert unpacked(bad.error)[RequestInfo].request_id


def test_item_without_document(stub):
    """An item that holds nothing is told so."""
    (answer,) = ask(stub, message(pb.StreamItem(id="empty")))
    assert blamed(answer.outcomes[0]) == ["items[0].document.source"]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (message(item("a"), item("b"), tasks=["mood"]), "tasks[0]"),
        (message(item("a"), item("b"), tasks=[]), "tasks"),
        (message(item("a"), item("b"), unit=7), "offset_unit"),
        (message(*(item(str(n), "a") for n in range(1025))), "items"),
        (message(*(item(str(n), "a" * 99_000) for n in range(11))), "items"),
    ],
    ids=["unknown task", "no task", "unit", "too many items", "too much text"],
)
def test_what_all_items_share_is_each_ones_error(stub, bad, field):
    """A fault of the whole message is told to each item, and the stream goes on."""
    answers = ask(stub, bad, message(item("next")))
    by_size = sorted(answers, key=lambda answer: -len(answer.outcomes))
    assert [outcome.id for outcome in by_size[0].outcomes] == [i.id for i in bad.items]
    assert all(blamed(outcome) == [field] for outcome in by_size[0].outcomes)
    assert by_size[1].outcomes[0].WhichOneof("outcome") == "annotation"


def test_item_that_is_not_utf8(server):
    """An item with bad bytes has its own error; its neighbour is answered."""
    data = message(item("bad", "@@"), item("good")).SerializeToString()
    (answer,) = server.raw_stream("AnnotateStream")([data.replace(b"@@", b"\xff\xff")])
    bad, good = pb.AnnotateStreamResponse.FromString(answer).outcomes
    assert blamed(bad) == ["items[0].document.text"]
    assert good.WhichOneof("outcome") == "annotation"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", "items"),
        (b"\xff\xff", "message"),
        (b"\n\0" * 4_000_000, "items"),
        (b"\n\0" * 2_000_000 + b"\n\3\n\1\xff", "message"),
    ],
    ids=["no items", "no message", "millions of items", "millions of items and not UTF-8"],
)
def test_message_that_cannot_be_answered_ends_the_stream(server, data, field):
    """What was read before is answered; then the stream ends with INVALID_ARGUMENT."""
    good = [message(item(str(n))).SerializeToString() for n in range(5)]
    answers = []
    with pytest.raises(grpc.RpcError) as caught:
        answers.extend(iter(server.raw_stream("AnnotateStream")([*good, data])))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(caught.value) == [field]
