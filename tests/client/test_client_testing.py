"""The service for users' tests keeps its own promises."""

import pytest

from polyhead import Client, Figure, HeadKind, Limits, RetryPolicy, UnavailableError, Words
from polyhead.testing import Head, serve, split_words

ONCE = RetryPolicy(max_attempts=1)


def test_the_rules_are_as_documented(client):
    """Sentiment, topic, tags and entities follow from the words."""
    annotation = client.annotate("The Bank of Rome hated 3 slow phones, quickly!")
    assert annotation.classification("sentiment").label == "negative"
    assert annotation.classification("topic").label == "Business"
    tags = [(word.text, word.tag) for word in annotation.tagging("pos")]
    assert tags == [
        ("The", "DET"),
        ("Bank", "PROPN"),
        ("of", "ADP"),
        ("Rome", "PROPN"),
        ("hated", "VERB"),
        ("3", "NUM"),
        ("slow", "NOUN"),
        ("phones", "NOUN"),
        (",", "PUNCT"),
        ("quickly", "ADV"),
        ("!", "PUNCT"),
    ]
    spans = [(span.text, span.label) for span in annotation.spans("entities")]
    assert spans == [("Bank", "ORG"), ("Rome", "LOC")]


def test_an_undecided_text_is_neutral(client):
    """Without a known word: neutral, World, no entities."""
    annotation = client.annotate("nothing here")
    assert annotation.classification("sentiment").label == "neutral"
    assert annotation.classification("topic").label == "World"
    assert len(annotation.spans("entities")) == 0


def test_words_are_found_where_they_stand():
    """Hyphens join, apostrophes part, and other visible characters stand alone."""
    words = split_words("It's state-of-the-art… 日本!")
    assert [word for word, _, _ in words] == ["It", "'s", "state-of-the-art", "…", "日本", "!"]
    assert all("It's state-of-the-art… 日本!"[start:end] == word for word, start, end in words)


def test_limits_are_kept(connect):
    """The service refuses what its limits do not allow, naming the field."""
    limits = Limits(max_documents=2, max_text_chars=10, max_request_chars=15)
    with serve(limits=limits) as service:
        client = connect(service.address)
        assert client.list_tasks().limits == limits
        for documents, field in (
            (["a", "b", "c"], "documents"),
            (["a" * 11], "documents[0].text"),
            ([Words(["aaaaaa", "bbbbb"])], "documents[0].words.words"),
            (["a" * 8, "b" * 8], "documents"),
            ([], "documents"),
        ):
            with pytest.raises(Exception, match="must") as caught:
                client.annotate_many(documents)
            assert caught.value.violations[0].field == field


def test_heads_of_ones_own(connect):
    """Heads of each kind answer by the user's rule, and are listed with their figures."""
    heads = (
        Head(
            "length",
            HeadKind.TAGGING,
            ("short", "long"),
            lambda words: ["long" if len(word) > 3 else "short" for word in words],
            (Figure("mine", "test", "accuracy", 1.0),),
        ),
        Head("all", HeadKind.SPANS, ("ALL",), lambda words: [(0, len(words), "ALL")]),
    )
    with serve(heads=heads, bundle_version="mine-2") as service:
        client = connect(service.address)
        annotation = client.annotate("a small test")
        assert [word.tag for word in annotation.tagging("length")] == ["short", "long", "long"]
        assert [span.text for span in annotation.spans("all")] == ["a small test"]
        assert annotation.info.bundle_version == "mine-2"
        assert client.list_tasks().task("length").figures[0].value == 1.0


def test_failures_come_in_order_and_end(connect, service):
    """Calls fail as often as was asked, each method as was asked, and then no more."""
    client = connect(service.address, retry=ONCE)
    service.fail(2, "UNAVAILABLE")
    service.fail(1, "UNAVAILABLE", method="ListTasks")
    for call in (client.annotate, client.annotate):
        with pytest.raises(UnavailableError):
            call("x")
    assert client.annotate("x").windows == 1
    with pytest.raises(UnavailableError):
        client.list_tasks()
    assert client.list_tasks().name == "testing"


def test_calls_are_kept(client, service):
    """Requests and metadata are there to be looked at."""
    client.annotate("hello", ["pos"], request_id="r1")
    (call,) = service.calls
    assert call.method == "Annotate"
    assert call.request.documents[0].text == "hello"
    assert call.metadata["x-request-id"] == "r1"


def test_waiting_for_a_call_that_does_not_come(service):
    """wait_held gives up in time."""
    with pytest.raises(TimeoutError, match="0 calls"):
        service.wait_held(1, timeout=0.01)


def test_a_taken_port_is_refused(service):
    """Two services do not share a port."""
    with pytest.raises(RuntimeError), serve(port=service.port):
        pass


def test_a_service_that_is_shut_down_is_gone(service):
    """After shutdown nobody answers."""
    with Client(service.address, retry=ONCE) as client:
        client.annotate("x")
        service.shutdown()
        with pytest.raises(UnavailableError):
            client.annotate("x")
