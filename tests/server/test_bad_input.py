"""Each bad input has its exact status and names its field; odd but good input has exact offsets."""

from __future__ import annotations

import grpc
import pytest
from background_server import PATIENCE, details, fields
from google.rpc.error_details_pb2 import RequestInfo

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc

CODE_POINT, UTF8, UTF16 = 1, 2, 3


def text(value):
    return doc.Document(text=value)


def words(*values):
    return doc.Document(words=doc.WordList(words=values))


def request(*documents, tasks=("pos",), unit=0):
    return pb.AnnotateRequest(documents=documents, tasks=tasks, offset_unit=unit)


def refused(call, *args, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*args, timeout=PATIENCE, **options)
    return caught.value


@pytest.mark.parametrize(
    ("documents", "field"),
    [
        ([text("")], "documents[0].text"),
        ([text("good"), text(" \t\r\n\u00a0\u2003")], "documents[1].text"),
        ([text("\x00\x01\x7f\x85")], "documents[0].text"),
        ([text("\u200b\u200d\ufeff\u202e")], "documents[0].text"),
        ([text("a" * 100_001)], "documents[0].text"),
        ([text("a " * 500_000)], "documents[0].text"),
        ([words("good", "", "word")], "documents[0].words.words[1]"),
        ([words("good", "word", " \t")], "documents[0].words.words[2]"),
        ([words("good", "\x00")], "documents[0].words.words[1]"),
        ([words()], "documents[0].words.words"),
        ([words(*["word"] * 20_001)], "documents[0].words.words"),
        ([doc.Document()], "documents[0].source"),
        ([], "documents"),
        ([text("a")] * 1025, "documents"),
        ([text("a" * 99_000)] * 11, "documents"),
    ],
    ids=[
        *("empty", "blanks", "controls", "invisible", "too long", "1 MB", "empty word"),
        *("blank word", "NUL word", "no words", "too many words", "no source", "no documents"),
        *("too many documents", "too much text"),
    ],
)
def test_bad_documents(stub, documents, field):
    """A document against the contract is INVALID_ARGUMENT and named by its path."""
    error = refused(stub.Annotate, request(*documents))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == [field]


@pytest.mark.parametrize(
    ("tasks", "field"),
    [
        (["pos", "mood"], "tasks[1]"),
        ([], "tasks"),
        (["pos", "topic", "pos"], "tasks[2]"),
        (["pos", "*"], "tasks[1]"),
        (["*", "*"], "tasks[1]"),
        ([""], "tasks[0]"),
    ],
    ids=["unknown", "none", "twice", "all and one", "all twice", "empty"],
)
def test_bad_tasks(stub, tasks, field):
    """A task against the contract is INVALID_ARGUMENT and named by its index."""
    error = refused(stub.Annotate, request(text("hello"), tasks=tasks))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in fields(error)


@pytest.mark.parametrize(
    ("bad", "violations"),
    [
        (request(text("hello"), tasks=["pos"] * 500_000), ["tasks"]),
        (request(*[doc.Document()] * 500_000), ["documents"]),
        (
            request(words("good", *["\u200b"] * 30_000), tasks=["mood"]),
            ["tasks[0]", *(f"documents[0].words.words[{n}]" for n in range(1, 32))],
        ),
    ],
    ids=["tasks", "documents", "words"],
)
def test_too_many_mistakes_to_name(stub, bad, violations):
    """A message of some megabytes holds more than anybody is told of."""
    error = refused(stub.Annotate, bad)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == violations


def test_limits_are_named(stub):
    """The message says how much was given and how much may be."""
    error = refused(stub.Annotate, request(text("a" * 1_000_000)))
    assert "1000000" in error.details()
    assert "100000 " in error.details() + " "


def test_unknown_offset_unit(stub):
    """A unit that does not exist is refused rather than guessed."""
    error = refused(stub.Annotate, request(text("hello"), unit=9))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == ["offset_unit"]


def test_everything_wrong_is_said_at_once(stub):
    """All violations of a request come in one answer."""
    error = refused(stub.Annotate, request(text(""), doc.Document(), tasks=["mood"]))
    assert fields(error) == ["tasks[0]", "documents[0].text", "documents[1].source"]


@pytest.mark.parametrize(
    ("bad", "ids"),
    [
        (b"\xff\xfe", "bad bytes"),
        (b"\xed\xa0\x80", "lone high surrogate"),
        (b"ok \xed\xb0\x80", "lone low surrogate"),
        (b"\xc3", "cut short"),
        (b"\xc0\x80", "overlong NUL"),
    ],
)
def test_text_that_is_not_utf8(server, bad, ids):
    """Bytes that are no UTF-8 are the caller's mistake, not INTERNAL, and named by field."""
    whole = request(text("fine"), text("@" * len(bad))).SerializeToString()
    error = refused_raw(server.raw("Annotate"), whole.replace(b"@" * len(bad), bad))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == ["documents[1].text"]


def refused_raw(call, data):
    with pytest.raises(grpc.RpcError) as caught:
        call(data)
    return caught.value


def test_words_and_tasks_that_are_not_utf8(server):
    """Every string of the request is looked at."""
    whole = request(words("a", "@@"), tasks=["pos", "##"]).SerializeToString()
    data = whole.replace(b"@@", b"\xff\xff").replace(b"##", b"\xff\xff")
    error = refused_raw(server.raw("Annotate"), data)
    assert fields(error) == ["documents[0].words.words[1]", "tasks[1]"]


def test_bytes_that_are_no_message(server):
    """Bytes that are no message at all are INVALID_ARGUMENT, too."""
    error = refused_raw(server.raw("Annotate"), b"\xff\xff\xff")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fields(error) == ["message"]


def test_errors_carry_the_request_id(stub):
    """The caller's request id comes back in the trailing metadata and in RequestInfo."""
    error = refused(stub.Annotate, request(), metadata=(("x-request-id", "my-call-1"),))
    assert details(error)[RequestInfo].request_id == "my-call-1"
    assert dict(error.trailing_metadata())["x-request-id"] == "my-call-1"


@pytest.mark.parametrize("given", ["", "with blank", "x" * 129])
def test_bad_request_ids_are_replaced(stub, given):
    """An id that is too long or not visible ASCII is replaced by one of the server's."""
    _, call = stub.Annotate.with_call(
        request(text("hello")), metadata=(("x-request-id", given),), timeout=PATIENCE
    )
    sent = dict(call.trailing_metadata())["x-request-id"]
    assert sent != given
    assert len(sent) == 32


ODD_TEXTS = {
    "NULs": "the\x00 fans\x00\x00 won",
    "right to left": "שלום עולם the fans مرحبا",
    "combining marks": "cafe\u0301 A\u030a ngstro\u0308m fans",
    "emoji": "the 👩‍👩‍👧‍👦 fans 👍🏽 in 🇩🇪 won 😀!",
    "plane zero": "naïve Straße – “fans” 中文 won",
    "controls": "\x01the\x02fans\x1f won",
}


@pytest.mark.parametrize("value", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
@pytest.mark.parametrize("unit", [CODE_POINT, UTF8, UTF16])
def test_offsets_are_exact(stub, value, unit):
    """In every unit the offsets cut the surface text of each word and span out of the text."""
    answer = stub.Annotate(
        request(text(value), tasks=["pos", "entities"], unit=unit), timeout=PATIENCE
    )
    assert answer.offset_unit == unit
    pos, entities = answer.annotations[0].results
    assert pos.tagging.words
    for found in [*pos.tagging.words, *entities.spans.spans]:
        assert cut(value, unit, found.start, found.end) == found.text


def cut(value, unit, start, end):
    if unit == UTF8:
        return value.encode()[start:end].decode()
    if unit == UTF16:
        return value.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")
    return value[start:end]


@pytest.mark.parametrize("unit", [CODE_POINT, UTF8, UTF16])
def test_offsets_of_given_words(stub, unit):
    """Offsets of words that the caller split refer to the words joined by one space."""
    given = ["the", "👍🏽", "naïve", "New York", "!"]
    answer = stub.Annotate(request(words(*given), unit=unit), timeout=PATIENCE)
    found = answer.annotations[0].results[0].tagging.words
    assert [word.text for word in found] == given
    assert [cut(" ".join(given), unit, word.start, word.end) for word in found] == given


def test_unit_not_given_is_code_points(stub):
    """Where no unit is asked for code points are counted, and echoed."""
    answer = stub.Annotate(request(text("😀 fans")), timeout=PATIENCE)
    assert answer.offset_unit == CODE_POINT
    assert answer.annotations[0].results[0].tagging.words[1].start == 2


def test_one_word_of_100_000_letters(stub):
    """A text of the largest size that is one single word is annotated."""
    answer = stub.Annotate(request(text("a" * 100_000), tasks=["*"]), timeout=PATIENCE)
    assert len(answer.annotations[0].results) == 4
    assert answer.annotations[0].results[2].tagging.words[0].end == 100_000


def test_long_text_is_windowed_and_says_so(stub):
    """A text longer than the encoder's limit is read in windows; every word has its tag."""
    answer = stub.Annotate(request(text("the fans " * 500), tasks=["*"]), timeout=PATIENCE)
    annotation = answer.annotations[0]
    assert annotation.windows > 1
    assert len(annotation.results[2].tagging.words) == 1000


def test_the_server_is_well_after_all_this(stub):
    """Good requests are answered as before."""
    answer = stub.Annotate(request(text("the fans won")), timeout=PATIENCE)
    assert [word.text for word in answer.annotations[0].results[0].tagging.words] == [
        *("the", "fans", "won"),
    ]
