"""The spaCy component against a real service: what it fills, in batches, and what it saves."""

import pytest
import spacy
from spacy.tokens import Doc

import polyhead.spacy
from polyhead import BearerToken, Client, HeadKind, InvalidArgumentError, Limits, RetryPolicy, Words
from polyhead.testing import DEFAULT_HEADS, Head, serve

TEXT = "Apple opened  a store\n\nin New York, and 😀 the fans can't love it."
QUICK = RetryPolicy(max_attempts=2, initial_backoff=0.001, max_backoff=0.002)


@pytest.fixture
def make(service):
    """Makes pipelines with the component, and closes its connection."""
    made = []

    def pipeline(address=service.address, **config):
        nlp = spacy.blank("en")
        made.append(nlp.add_pipe("polyhead", config={"target": address, **config}))
        return nlp

    yield pipeline
    for component in made:
        component.client.close()


def test_what_it_fills(make, service):
    """Entities, one tag for each token, and the scores of every classification."""
    doc = make()(TEXT)
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Apple", "ORG"), ("New York", "LOC")]
    words = [token.text for token in doc if not token.is_space]
    with Client(service.address) as client:
        annotation = client.annotate(Words(words))
    tags = [word.tag for word in annotation.tagging("pos")]
    assert [token.pos_ for token in doc if not token.is_space] == tags
    assert [token.pos_ for token in doc if token.is_space] == ["SPACE", "SPACE"]
    assert doc.has_annotation("POS")
    assert doc.has_annotation("ENT_IOB")
    topic = annotation.classification("topic").distribution
    assert doc.cats["topic/Business"] == topic["Business"]
    assert sum(share for name, share in doc.cats.items() if name.startswith("sentiment/")) == (
        pytest.approx(1)
    )


def test_batches(make, service):
    """Order is kept over batches, docs without words included; a call holds many docs."""
    texts = [f"text {number} in Berlin" if number % 50 else " \n" for number in range(400)]
    nlp = make()
    docs = list(nlp.pipe(texts, batch_size=150))
    assert [doc.text for doc in docs] == texts
    assert all(bool(doc.ents) == bool(doc.text.strip()) for doc in docs)
    assert docs[0].cats == {}
    assert [token.pos_ for token in docs[0]] == ["SPACE"]
    methods = [call.method for call in service.calls]
    assert "Annotate" not in methods
    assert methods.count("AnnotateStream") < 40
    one = nlp(texts[1])
    assert one.to_json() == docs[1].to_json()
    assert [doc.text for doc in nlp.pipe([])] == []
    invisible = nlp("\u200b a")
    assert [token.pos_ for token in invisible][-1] == "DET"


def test_text_of_its_own_splitting(make):
    """With send="text" the server splits, spans are aligned, tags go by what covers a token."""
    doc = make(send="text")(TEXT)
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("Apple", "ORG"), ("New York", "LOC")]
    tags = {token.text: token.pos_ for token in doc}
    assert (tags["Apple"], tags["York"], tags["the"]) == ("PROPN", "PROPN", "DET")
    assert (tags["ca"], tags["n't"]) == ("NOUN", "PART")  # the service says can, 't
    assert tags["\n\n"] == "SPACE"
    assert next(iter(make(send="text").pipe([" "]))).cats == {}


@pytest.mark.parametrize(
    ("mode", "found"), [("expand", ["Berlin's"]), ("contract", []), ("strict", [])]
)
def test_alignment(make, mode, found):
    """A span that ends within a token is expanded, contracted or dropped, as was asked for."""
    nlp = make(send="text", alignment_mode=mode)
    component = nlp.get_pipe("polyhead")
    heads = [Head("entities", HeadKind.SPANS, ("X",), lambda words: [(1, 2, "X")])]
    with serve(heads=heads) as other:
        component.client.close()
        component.client = Client(other.address)
        doc = component(Doc(nlp.vocab, words=["in", "Berlin's", "east"]))
        assert [ent.text for ent in doc.ents] == found


@pytest.fixture
def many_heads():
    """A service with heads of every kind beside the usual ones."""
    heads = (
        *DEFAULT_HEADS,
        Head("terms", HeadKind.SPANS, ("T",), lambda words: [(0, 1, "T"), (1, len(words), "T")]),
        Head(
            "case",
            HeadKind.TAGGING,
            ("U", "l"),
            lambda ws: ["U" if w.isupper() else "l" for w in ws],
        ),
    )
    with serve(heads=heads) as running:
        yield running.address


def test_other_heads(make, many_heads):
    """Heads that it has never heard of have their places by kind."""
    doc = make(many_heads)("NASA won  it")
    assert [(span.text, span.label_) for span in doc.spans["terms"]] == [
        ("NASA", "T"),
        ("won  it", "T"),
    ]
    assert doc.spans["terms"].attrs["scores"] == [0.875, 0.875]
    assert doc.user_data["polyhead.case"] == ["U", "l", "", "l"]
    copy = Doc(doc.vocab).from_bytes(doc.to_bytes())
    assert copy.user_data["polyhead.case"] == ["U", "l", "", "l"]
    assert len(copy.spans["terms"]) == 2


def test_heads_by_name(make, many_heads):
    """Which heads fill what, and which are asked at all, is configured."""
    doc = make(many_heads, entities="terms", pos="case", tasks=["terms", "case"])("NASA won it")
    assert [ent.label_ for ent in doc.ents] == ["T", "T"]
    assert [token.tag_ for token in doc] == ["U", "l", "l"]
    assert not doc.has_annotation("POS")
    assert doc.cats == {}
    doc = make(many_heads, entities=None, pos=None)("NASA won it")
    assert doc.ents == ()
    assert [span.text for span in doc.spans["entities"]] == ["NASA"]
    with pytest.raises(ValueError, match="no such task: 'nope'; there are: sentiment"):
        make(many_heads, entities="nope")("x")


def test_the_config_is_saved(make, tmp_path, service):
    """A pipeline with it is saved and loaded by its config alone; no server is needed to."""
    nlp = make(timeout=7.0, tasks=["pos"])
    nlp.to_disk(tmp_path / "pipeline")
    assert not (tmp_path / "pipeline" / "polyhead").exists()
    loaded = spacy.load(tmp_path / "pipeline")
    assert service.calls == []
    component = loaded.get_pipe("polyhead")
    assert component.settings.timeout == 7.0
    assert component.settings.tasks == ("pos",)
    assert [token.pos_ for token in loaded("Berlin is nice")] == ["PROPN", "AUX", "NOUN"]
    component.client.close()
    with pytest.raises(ValueError, match="send"):
        make(send="postcards")


@pytest.fixture
def narrow():
    """A service that takes short texts only."""
    with serve(limits=Limits(16, 20, 200)) as running:
        yield running


def test_errors_go_to_the_handler(make, narrow):
    """A doc that fails, and a batch that does, are the error handler's; the others go on."""
    nlp = make(narrow.address)
    with pytest.raises(InvalidArgumentError):
        list(nlp.pipe(["fine", "x" * 21]))
    seen = []
    nlp.set_error_handler(
        lambda name, proc, docs, error: seen.append((name, len(docs), error.code))
    )
    texts = ["one", "y" * 21, "two", "three", "four"]
    assert [doc.text for doc in nlp.pipe(texts, batch_size=3)] == ["one", "two", "three", "four"]
    narrow.fail(1, "INTERNAL", method="AnnotateStream")
    assert [doc.text for doc in nlp.pipe(["a", "b", "c"], batch_size=2)] == ["c"]
    assert seen == [("polyhead", 1, "INVALID_ARGUMENT"), ("polyhead", 2, "INTERNAL")]


def test_a_client_of_ones_own(service):
    """Tokens and TLS come with a client that is set; nothing secret is in the config."""
    with serve(token="t0ken") as guarded:  # noqa: S106 - of this test
        nlp = spacy.blank("en")
        component = nlp.add_pipe("polyhead")
        token = BearerToken("t0ken", allow_insecure=True)
        component.client = Client(guarded.address, token=token, retry=QUICK)
        assert nlp("I love it").cats["sentiment/positive"] > 0.5
        assert "t0ken" not in nlp.config.to_str()
        component.client.close()


def test_the_factory_is_found_without_an_import():
    """The entry point is enough: a user of spaCy imports spaCy only."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - of this test alone

    (found,) = entry_points(group="spacy_factories", name="polyhead")
    assert found.load() is polyhead.spacy.make_component
