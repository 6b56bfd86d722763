"""A head is added to a finished bundle, and nothing else in it changes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from background_server import BackgroundServer

from polyhead.v1 import annotation_service_pb2 as wire
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead.v1.document_pb2 import Document
from polyhead_server.bundle import open_bundle, seal_bundle
from polyhead_server.model import Model
from polyhead_training.cli import main
from polyhead_training.evaluation import annotate

OLD = ("mood", "names", "tags")
LONG = "The film was good. Ann met Bob in Oslo. " * 12


@pytest.fixture
def bundle(toy, tmp_path):
    """A copy of the trained bundle."""
    return shutil.copytree(toy.bundle, tmp_path / "bundle")


def told(capsys, *arguments, code: int = 0) -> str:
    """What the command printed."""
    capsys.readouterr()
    assert main([str(item) for item in arguments]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out if code == 0 else captured.err


def added(capsys, bundle, data, *more, name="spam", kind="classification") -> dict:
    """The facts that the command prints as JSON."""
    basics = (bundle, "--name", name, "--kind", kind, "--data", data, "--threads", "1")
    return json.loads(told(capsys, "add-head", *basics, *more, "--json"))


def contents(folder):
    """Every file with its bytes, but those that tell of all heads."""
    names = {"manifest.json", "MODEL_CARD.md"}
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in names
    }


def responses(bundle) -> list[bytes]:
    """What a server says to a few texts about the old heads."""
    server = BackgroundServer(bundle)
    stub = AnnotationServiceStub(server.channel)
    found = []
    for text in ("The room was lovely.", "Ann met Bob in Rome.", LONG):
        request = wire.AnnotateRequest(documents=[Document(text=text)], tasks=OLD)
        response = stub.Annotate(request, timeout=30)
        response.ClearField("timings")
        found.append(response.SerializeToString(deterministic=True))
    server.close()
    return found


def test_a_server_answers_and_the_old_heads_say_the_same(capsys, toy, bundle):
    """To the last byte, from the next start on; the new head knows its labels."""
    before, files = responses(bundle), contents(bundle)
    facts = added(capsys, bundle, toy.data / "mood/train.jsonl")
    assert facts["labels"] == ["bad", "good", "plain", "very good"]
    assert responses(bundle) == before
    after = contents(bundle)
    assert after.pop("heads/spam.safetensors")
    assert after == files
    server = BackgroundServer(bundle)
    stub = AnnotationServiceStub(server.channel)
    request = wire.AnnotateRequest(documents=[Document(text="The meal was awful.")], tasks=["spam"])
    (result,) = stub.Annotate(request, timeout=30).annotations[0].results
    assert result.classification.label == "bad"
    tasks = [task.name for task in stub.ListTasks(wire.ListTasksRequest(), timeout=30).tasks]
    assert tasks == [*OLD, "spam"]
    server.close()


def test_figures_come_with_intervals(capsys, toy, bundle):
    """Those printed, those of the manifest and those of the card are the same."""
    data, test = toy.data / "poles/train.jsonl", toy.data / "mood/test.jsonl"
    labelled = bundle.parent / "test.jsonl"
    rows = [json.loads(line) for line in test.read_text().splitlines()]
    labels = {"very good": "good", "good": "good", "bad": "bad"}
    kept = [{**row, "label": labels[row["label"]]} for row in rows if row["label"] in labels]
    labelled.write_text("\n".join(map(json.dumps, kept)))
    facts = added(capsys, bundle, data, "--test", labelled, "--licence", "CC0")
    assert facts["texts"]["test"] == len(kept)
    accuracy = facts["figures"][0]
    assert (accuracy["metric"], accuracy["split"]) == ("accuracy", "test")
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert accuracy["value"] > 0.9
    assert [row["label"] for row in facts["label_figures"]] == ["bad", "good"]
    assert {error["split"] for error in facts["calibration"]["errors"]} == {"dev", "test"}
    manifest = open_bundle(bundle).manifest
    (spec,) = (head for head in manifest.heads if head.name == "spam")
    assert [figure.value for figure in spec.figures] == [f["value"] for f in facts["figures"]]
    (noted,) = manifest.provenance["added_heads"]
    assert noted["figures"] == facts["figures"]
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "## Heads added later" in card
    assert f"| {100 * accuracy['low']:.2f} to {100 * accuracy['high']:.2f} |" in card
    assert "| train | spam | training | CC0 |" in card


def test_tables_for_people(capsys, toy, bundle):
    """Figures, labels, calibration, and how to serve it."""
    basics = ("--name", "spam", "--kind", "classification", "--threads", 1)
    printed = told(capsys, "add-head", bundle, *basics, "--data", toy.data / "mood/train.jsonl")
    for expected in ("accuracy", "macro_f1", "95 % interval", "very good", "calibration error"):
        assert expected in printed
    assert f"serve it: polyhead-server serve --bundle {bundle}" in printed


def test_a_tagging_head(capsys, toy, bundle):
    """Words are tagged by the vectors that the server gives them, also in long texts."""
    facts = added(capsys, bundle, toy.data / "tags/train.conllu", name="upos", kind="tagging")
    assert [f["metric"] for f in facts["figures"]] == [
        "accuracy",
        "macro_f1",
        "tag_f1_from_raw",
        "word_f1_from_raw",
    ]
    assert facts["figures"][0]["value"] > 0.95
    model = Model.load(bundle, threads=1)
    words = ("the", "film", "was", "good", ".") * 15
    ((document, output),) = annotate(model, [words], "upos")
    model.close()
    assert len(document.windows) > 2
    tags = [facts["labels"][tag] for tag in output.tags]
    right = sum(map(str.__eq__, tags, ("DET", "NOUN", "VERB", "ADJ", "PUNCT") * 15))
    assert right > 0.8 * len(words)


def test_a_spans_head(capsys, toy, bundle):
    """Its spans are well-formed and found; it knows how seldom neighbours are of one label."""
    facts = added(capsys, bundle, toy.data / "names/train.conll", name="who", kind="spans")
    assert facts["labels"] == ["LOC", "PER"]
    assert facts["figures"][0]["metric"] == "entity_f1"
    assert facts["figures"][0]["value"] > 0.9
    assert {row["label"] for row in facts["label_figures"]} == {"LOC", "PER"}


def test_a_hidden_layer_and_other_pooling(capsys, toy, bundle):
    """Both are served as they were trained; the same seed gives the same head."""
    options = ("--hidden", 12, "--pooling", "max", "--seed", 5)
    data = toy.data / "mood/train.jsonl"
    facts = added(capsys, bundle, data, *options, "--passes", 30)
    assert facts["figures"][0]["value"] > 0.4
    (spec,) = (head for head in open_bundle(bundle).heads if head.name == "spam")
    assert spec.pooling == "max"
    first = (bundle / spec.file).read_bytes()
    added(capsys, bundle, data, *options, "--passes", 30, "--replace")
    (spec,) = (head for head in open_bundle(bundle).heads if head.name == "spam")
    assert (bundle / spec.file).read_bytes() == first


def test_a_name_that_is_taken(capsys, toy, bundle):
    """An error, and nothing changed; --replace makes the head another one, and it alone."""
    data = toy.data / "poles/train.jsonl"
    before = contents(bundle)
    basics = (bundle, "--name", "mood", "--kind", "classification", "--data", data)
    errors = told(capsys, "add-head", *basics, code=2)
    assert 'has a head "mood" already' in errors
    assert contents(bundle) == before
    added(capsys, bundle, data, "--replace", name="mood")
    heads = open_bundle(bundle).heads
    assert [head.name for head in heads] == list(OLD)
    assert heads[0].labels == ("bad", "good")
    after = contents(bundle)
    assert {name for name in before if after.get(name) != before[name]} == {
        "heads/mood.safetensors"
    }
    provenance = open_bundle(bundle).manifest.provenance
    assert {item["head"] for item in provenance["torch_figures"]} == {"names", "tags"}
    assert {"reviews", "train"} <= {item["name"] for item in provenance["data_sets"]}


def test_first_pooling_on_a_causal_encoder(capsys, toy, bundle):
    """Refused as `fit` does: the first token has seen no other. Nothing is changed."""
    manifest = open_bundle(bundle).manifest
    causal = replace(manifest, tokenizer=replace(manifest.tokenizer, word_piece="last"))
    seal_bundle(bundle, causal)
    before = contents(bundle)
    data = toy.data / "poles/train.jsonl"
    basics = (bundle, "--name", "spam", "--kind", "classification", "--data", data)
    errors = told(capsys, "add-head", *basics, "--pooling", "first", code=2)
    assert 'pooling "first"' in errors
    assert errors.count("\n") == 1
    assert contents(bundle) == before


def test_a_bundle_with_added_heads_is_still_evaluated(capsys, toy, bundle):
    """By its own configuration: the heads that were trained, those that were replaced left out."""
    shutil.copytree(toy.run, bundle.with_name("bundle.run"))
    added(capsys, bundle, toy.data / "mood/train.jsonl")
    content = json.loads(told(capsys, "evaluate", bundle, "--data", toy.data, "--json"))
    assert content["torch_measured_now"] is True
    assert {figure["head"] for figure in content["served"]} == set(OLD)
    added(capsys, bundle, toy.data / "poles/train.jsonl", "--replace", name="mood")
    content = json.loads(told(capsys, "evaluate", bundle, "--data", toy.data, "--json"))
    assert {figure["head"] for figure in content["served"]} == {"names", "tags"}


def test_a_new_bundle_beside_the_old(capsys, toy, bundle, tmp_path):
    """The old one is as it was, to the last byte of every file."""
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    out = tmp_path / "deep/new"
    data = toy.data / "mood/train.jsonl"
    added(capsys, bundle, data, "--out", out, "--version", "1.1", "--no-calibration")
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before
    assert open_bundle(out).version == "1.1"
    assert [head.name for head in open_bundle(out).heads] == [*OLD, "spam"]
    noted = open_bundle(out).manifest.provenance["calibration"]
    assert "spam" not in {item["head"] for item in noted}
    assert sorted(path.name for path in out.parent.iterdir()) == ["new"]


def test_a_place_that_holds_something_else(capsys, toy, bundle, tmp_path):
    """Is left alone."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.jpg").write_text("x")
    basics = (bundle, "--name", "spam", "--kind", "classification")
    data = ("--data", toy.data / "mood/train.jsonl", "--out", tmp_path / "photos")
    assert "is no bundle" in told(capsys, "add-head", *basics, *data, code=2)
    assert (tmp_path / "photos/one.jpg").read_text() == "x"


def test_a_head_is_removed(capsys, toy, bundle):
    """Down to the last trace of it, and not the last head; data of the encoder stay named."""
    before, whole = contents(bundle), (bundle / "MODEL_CARD.md").read_text()
    provenance = open_bundle(bundle).manifest.provenance
    added(capsys, bundle, toy.data / "mood/train.jsonl")
    told(capsys, "remove-head", bundle, "--name", "spam")
    assert contents(bundle) == before
    assert (bundle / "MODEL_CARD.md").read_text() == whole
    left = dict(open_bundle(bundle).manifest.provenance)
    assert left.pop("added_heads") == []
    assert left == provenance
    told(capsys, "remove-head", bundle, "--name", "mood")
    told(capsys, "remove-head", bundle, "--name", "names", "--out", bundle.with_name("one"))
    assert [head.name for head in open_bundle(bundle).heads] == ["names", "tags"]
    one = open_bundle(bundle.with_name("one"))
    assert [head.name for head in one.heads] == ["tags"]
    assert "reviews" in {item["name"] for item in one.manifest.provenance["data_sets"]}
    errors = told(capsys, "remove-head", one.path, "--name", "tags", code=2)
    assert '"tags" is the only head' in errors
    assert 'has no head "nope"' in told(capsys, "remove-head", one.path, "--name", "nope", code=2)


def test_scores_of_an_added_head_are_those_of_its_matrices(capsys, toy, bundle):
    """Standardisation is folded in: the served scores are what was fitted, and sum up to one."""
    added(capsys, bundle, toy.data / "mood/train.jsonl")
    model = Model.load(bundle, threads=1)
    outputs = [out for _, out in annotate(model, ["The room was lovely.", LONG], "spam")]
    model.close()
    assert all(np.isclose(out.scores.sum(), 1, atol=1e-5) for out in outputs)
