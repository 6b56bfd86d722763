"""Unary calls: one behaviour of both clients."""

import math
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from polyhead import (
    Classification,
    DeadlineExceededError,
    HeadKind,
    Health,
    InvalidArgumentError,
    NotFoundError,
    OffsetUnit,
    Priority,
    Spans,
    Tagging,
    UnavailableError,
    Words,
)
from polyhead.testing import Head, serve
from polyhead.v1.annotation_service_pb2 import AnnotateRequest, AnnotateResponse
from polyhead.v1.document_pb2 import OFFSET_UNIT_CODE_POINT
from polyhead.v1.result_pb2 import DocumentAnnotation

TEXT = "😀 Apple loved Berlin"


def test_one_document_gets_every_task(client, service):
    """Without tasks, one text gives one annotation with a result per task, typed by kind."""
    annotation = client.annotate(TEXT)
    assert list(annotation) == [task.name for task in service.bundle.tasks]
    assert annotation.classification("sentiment").label == "positive"
    assert [span.label for span in annotation.spans("entities")] == ["ORG", "LOC"]
    assert [word.tag for word in annotation.tagging("pos")] == ["SYM", "PROPN", "VERB", "PROPN"]
    assert service.calls[-1].request.tasks == ["*"]


def test_the_response_is_described(client):
    """Bundle version, timings, unit, windows and request id come with every annotation."""
    annotation = client.annotate("word " * 300, request_id="mine-1")
    assert annotation.windows == 3
    assert annotation.tokens == 300
    assert annotation.info.bundle_version == "testing-1"
    assert annotation.info.offset_unit is OffsetUnit.CODE_POINT
    assert annotation.info.timings.encode == 0.003
    assert annotation.info.request_id == "mine-1"


@pytest.mark.parametrize("behind", [True, False], ids=["behind", "ahead"])
def test_the_id_is_the_one_under_which_it_was_served(connect, behind):
    """What the server sends back, behind the answer or ahead of it, is the id of the call."""

    def annotate(_, context):
        given = dict(context.invocation_metadata())["x-request-id"]
        send = context.set_trailing_metadata if behind else context.send_initial_metadata
        send((("x-request-id", f"served-as-{given}"),))
        if given == "bad":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        return AnnotateResponse(
            annotations=[DocumentAnnotation()], offset_unit=OFFSET_UNIT_CODE_POINT
        )

    method = grpc.unary_unary_rpc_method_handler(
        annotate, AnnotateRequest.FromString, AnnotateResponse.SerializeToString
    )
    name = "polyhead.v1.AnnotationService"
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(name, {"Annotate": method}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        client = connect(f"127.0.0.1:{port}")
        assert client.annotate("x", request_id="mine").info.request_id == "served-as-mine"
        with pytest.raises(InvalidArgumentError) as caught:
            client.annotate("x", request_id="bad")
        assert caught.value.request_id == "served-as-bad"
    finally:
        server.stop(None)


def test_every_call_has_an_id(client, service):
    """Without a request id the client makes one and sends it."""
    made = client.annotate("x").info.request_id
    assert len(made) == 32
    assert service.calls[-1].metadata["x-request-id"] == made


@pytest.mark.parametrize(
    ("unit", "places"),
    [("code_point", (2, 7)), ("utf8_byte", (5, 10)), (OffsetUnit.UTF16, (3, 8))],
)
def test_offsets_come_in_the_unit_asked_for(client, unit, places):
    """Offsets count in the caller's unit, which is echoed."""
    annotation = client.annotate(TEXT, ["entities"], offset_unit=unit)
    span = annotation.spans("entities").spans[0]
    assert (span.text, span.start, span.end) == ("Apple", *places)
    assert annotation.info.offset_unit == unit


@pytest.mark.parametrize(("priority", "sent"), [(None, 0), ("interactive", 1), (Priority.BULK, 2)])
def test_a_call_may_say_how_urgent_it_is(client, service, priority, sent):
    """The priority goes with the request; without one the server decides."""
    client.annotate(TEXT, priority=priority)
    client.annotate_many([TEXT], priority=priority)
    assert [call.request.priority for call in service.calls[-2:]] == [sent, sent]


def test_a_call_may_name_the_version(client, service):
    """The version goes with the request; one that is not loaded is told with those that are."""
    assert client.annotate(TEXT, bundle_version="testing-1").info.bundle_version == "testing-1"
    assert service.calls[-1].request.bundle_version == "testing-1"
    assert client.list_tasks(bundle_version="testing-1").version == "testing-1"
    with pytest.raises(NotFoundError, match="'2' is not loaded; there are 'testing-1'"):
        client.annotate(TEXT, bundle_version="2")
    with pytest.raises(NotFoundError) as caught:
        client.list_tasks(bundle_version="2")
    assert caught.value.code == "NOT_FOUND"


def test_unknown_priority(client):
    """A priority that there is not is refused before any call."""
    with pytest.raises(InvalidArgumentError, match="priority: must be one of interactive, bulk"):
        client.annotate(TEXT, priority="high")


def test_many_documents_keep_their_order(client, service):
    """Documents of both forms share one request, and answers come in their order."""
    found = client.annotate_many(["I love it", Words(["I", "hate", "it"])], ["sentiment"])
    assert [a.classification("sentiment").label for a in found] == ["positive", "negative"]
    assert len(found) == 2
    assert found.info.bundle_version == "testing-1"
    assert len(service.calls) == 1


def test_words_are_kept(client):
    """The caller's words are not split again; offsets refer to them joined by spaces."""
    tags = client.annotate(Words(["New York", "is", "big-ish!"]), ["pos"]).tagging("pos")
    assert [(w.text, w.start, w.end) for w in tags] == [
        ("New York", 0, 8),
        ("is", 9, 11),
        ("big-ish!", 12, 20),
    ]


def test_a_head_of_the_users_own_needs_no_new_code(connect):
    """A task that the client has never heard of is typed by its kind."""
    shout = Head(
        "shout",
        HeadKind.CLASSIFICATION,
        ("yes", "no"),
        lambda words: {"yes": sum(word.isupper() for word in words), "no": 1},
    )
    with serve(heads=[shout]) as service:
        result = connect(service.address).annotate("HEY YOU THERE")["shout"]
    assert isinstance(result, Classification)
    assert (result.label, result.score) == ("yes", 0.75)
    assert result.distribution == {"yes": 0.75, "no": 0.25}


def test_tasks_are_listed(client, service):
    """ListTasks gives the bundle as it is, with kinds, labels, figures and limits."""
    assert client.list_tasks() == service.bundle
    assert client.list_tasks().task("entities").labels == ("PER", "ORG", "LOC")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("",), "documents[0].text"),
        ((" \n\t",), "documents[0].text"),
        (("ok", ["nope"]), "tasks[0]"),
        (("ok", ["pos", "pos"]), "tasks[1]"),
        (("ok", []), "tasks"),
        ((Words(["fine", " "]),), "documents[0].words.words[1]"),
        ((Words([]),), "documents[0].words.words"),
    ],
)
def test_what_the_server_refuses_names_its_field(client, service, arguments, field):
    """INVALID_ARGUMENT carries the violation, and is not tried again."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.annotate(*arguments, request_id="r7")
    assert [violation.field for violation in caught.value.violations] == [field]
    assert (caught.value.code, caught.value.request_id) == ("INVALID_ARGUMENT", "r7")
    assert len(service.calls) == 1


@pytest.mark.parametrize(
    ("documents", "options", "field"),
    [
        (["fine", "\ud83d alone"], {}, "documents[1].text"),
        ([Words(["a", "\udc00"])], {}, "documents[0].words.words[1]"),
        (["fine", None], {}, "documents[1]"),
        ([Words(["a", 3])], {}, "documents[0].words.words[1]"),
        (["fine"], {"tasks": "pos"}, "tasks"),
        (["fine"], {"tasks": 3}, "tasks"),
        (["fine"], {"tasks": ["a\ud800"]}, "tasks[0]"),
        (["fine"], {"offset_unit": "inch"}, "offset_unit"),
        (["fine"], {"request_id": "no spaces"}, "request_id"),
        (["fine"], {"request_id": "x" * 129}, "request_id"),
        (["fine"], {"timeout": 0}, "timeout"),
        (["fine"], {"bundle_version": "\ud800"}, "bundle_version"),
        (["fine"], {"bundle_version": 3}, "bundle_version"),
        (["x" * (16 * 2**20)], {}, "documents"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_any_call(client, service, documents, options, field):
    """The client itself names the field that no message can carry."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.annotate_many(documents, **options)
    assert caught.value.violations[0].field == field
    assert service.calls == []


@pytest.mark.parametrize("mistaken", ["one text", b"bytes", Words(["a"])])
def test_one_document_where_several_are_meant(client, mistaken):
    """A single text given for a sequence is a mistake, not a list of its characters."""
    with pytest.raises(TypeError, match="several documents"):
        client.annotate_many(mistaken)


def test_the_default_deadline_goes_to_the_server(connect, service):
    """A call that names no timeout has the client's; infinity means none."""
    client = connect(service.address, timeout=17)
    client.annotate("x")
    client.annotate("x", timeout=5)
    client.annotate("x", timeout=math.inf)
    default, given, none = (call.seconds_left for call in service.calls)
    assert default == pytest.approx(17, abs=1)
    assert given == pytest.approx(5, abs=1)
    assert none is None or none > 10**6


@pytest.mark.parametrize("seconds", [9.2e9, 1e10, sys.maxsize, pytest.param(10**400, id="huge")])
def test_a_very_long_time_is_no_deadline(connect, service, seconds):
    """A time that no clock counts to is as good as infinity, given with a call or with a client."""
    client = connect(service.address, timeout=seconds)
    client.annotate("x")
    connect(service.address).annotate("x", timeout=seconds)
    assert all(call.seconds_left is None or call.seconds_left > 10**6 for call in service.calls)
    client.wait_ready(timeout=seconds)
    assert client.health(timeout=seconds) is Health.SERVING


def test_a_long_time_is_a_deadline(client, service):
    """What clocks and sockets can count is told to the server, in three digits or so."""
    client.annotate("x", timeout=20 * 86400)
    assert service.calls[-1].seconds_left == pytest.approx(20 * 86400, rel=0.01)


@pytest.mark.parametrize("version", ["\ud800", 3])
def test_versions_that_no_message_can_carry(client, service, version):
    """Asking for a bundle names the field too."""
    with pytest.raises(InvalidArgumentError) as caught:
        client.list_tasks(bundle_version=version)
    assert caught.value.violations[0].field == "bundle_version"
    assert service.calls == []


def test_tasks_come_from_any_iterable(client, service):
    """Names that can be read once only are all sent, and checked like others."""
    found = client.annotate(TEXT, (name for name in ["pos", "sentiment"]))
    assert list(found) == ["pos", "sentiment"]
    client.annotate_many([TEXT], iter(["pos"]))
    assert [list(call.request.tasks) for call in service.calls] == [["pos", "sentiment"], ["pos"]]
    with pytest.raises(InvalidArgumentError, match=r"tasks\[1\]: must be a printable str"):
        client.annotate(TEXT, iter(["pos", "a\n"]))


def test_a_held_call_ends_at_its_deadline(client, service):
    """A server that does not answer in time gives DeadlineExceededError."""
    with service.hold(), pytest.raises(DeadlineExceededError) as caught:
        client.annotate("x", timeout=0.05)
    assert caught.value.code == "DEADLINE_EXCEEDED"


def test_a_held_call_is_answered_when_the_gate_opens(client, service):
    """Holding delays an answer and does not change it."""
    with ThreadPoolExecutor() as pool:
        with service.hold():
            answer = pool.submit(client.annotate, "I love it", ["sentiment"])
            service.wait_held(1)
            assert not answer.done()
        assert answer.result().classification("sentiment").label == "positive"


def test_health_is_told_apart(client, service):
    """Health is what the server says, also when it is not serving."""
    assert client.health() is Health.SERVING
    service.health = Health.NOT_SERVING
    assert client.health() is Health.NOT_SERVING


def test_a_server_out_of_reach(connect):
    """Calls and health checks say that nobody is there."""
    with serve() as service:
        address = service.address
    client = connect(address)
    for call in (client.health, client.list_tasks, lambda: client.annotate("x")):
        with pytest.raises(UnavailableError) as caught:
            call()
        assert caught.value.code == "UNAVAILABLE"


def test_waiting_for_a_server_that_comes(client, service):
    """wait_ready returns when the server says that it serves."""
    service.health = Health.NOT_SERVING
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.wait_ready, 10)
        assert not waiting.done()
        service.health = Health.SERVING
        assert waiting.result() is None


def test_waiting_for_a_server_that_does_not_come(connect, service):
    """wait_ready gives up in time, and says what it saw last."""
    service.health = Health.NOT_SERVING
    with pytest.raises(DeadlineExceededError, match="not_serving"):
        connect(service.address).wait_ready(0.1)
    with pytest.raises(DeadlineExceededError, match="not ready in time"):
        connect("127.0.0.1:1").wait_ready(0.1)


def test_a_closed_client_says_so(connect, service):
    """A call on a closed client is refused, and closing again is harmless."""
    client = connect(service.address)
    client.annotate("x")
    client.close_client()
    client.close_client()
    with pytest.raises(RuntimeError, match="closed"):
        client.annotate("x")


def test_calls_rotate_over_a_list_of_addresses(connect):
    """Every address of a list gets its share of the calls."""
    with serve() as one, serve() as two:
        client = connect(f"{one.address},{two.address}")
        client.wait_ready(10)
        for _ in range(40):
            client.annotate("x")
            if one.calls and two.calls:
                break
        assert one.calls
        assert two.calls


def test_results_are_json_ready(client):
    """to_dict holds everything, in plain values."""
    annotation = client.annotate("Apple is great", ["entities", "pos", "sentiment"])
    kinds = [type(result) for result in annotation.values()]
    assert kinds == [Spans, Tagging, Classification]
    plain = annotation.to_dict()
    assert plain["results"]["entities"]["spans"] == [
        {"text": "Apple", "start": 0, "end": 5, "label": "ORG", "score": 0.875}
    ]
    assert plain["results"]["sentiment"]["scores"]["positive"] == 0.818182
    assert plain["results"]["pos"]["words"][1]["tag"] == "AUX"
    assert plain["offset_unit"] == "code_point"
    assert plain["timings"]["queue"] == 0.0002
