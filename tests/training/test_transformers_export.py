"""A head leaves as an ordinary transformers checkpoint that gives the same in a real pipeline."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_families import write_family
from toy_data import HEADS, SOURCES, toy_config
from transformers import pipeline

from polyhead_server.bundle import HeadSpec
from polyhead_training.checkpoint import BEST
from polyhead_training.cli import main
from polyhead_training.config import load_config
from polyhead_training.config_types import DistillationConfig
from polyhead_training.data import load_all
from polyhead_training.errors import ExportError, TrainingError
from polyhead_training.evaluation import annotate, measure_source
from polyhead_training.fit import train
from polyhead_training.progress import Reporter
from polyhead_training.transformers_export import Order, _reader, _windows, export_transformers
from polyhead_training.transformers_fit import FitOptions, lessons
from polyhead_training.transformers_model import prove, standard_model
from polyhead_training.transformers_texts import _as_in_source, compare
from polyhead_training.workshop import open_workshop, reopen_workshop

QUICK = SOURCES.replace("passes", "max_examples = 40\npasses")
TEXTS = (
    "the film was lovely .",
    "Ann met Bob in Paris .",
    "the garden looked wide",
    "a dire , poor book",
)


def plain_config(pooling):
    """A config without what standard classes have no place for."""
    heads = HEADS.replace("hidden = 16", f'hidden = 16\npooling = "{pooling}"')
    heads = heads.replace('pooling = "max"', f'pooling = "{pooling}"')
    text = toy_config(heads=heads, sources=QUICK, validations=1, average=0)
    return text.replace("[encoder]", "[encoder]\nshape_embedding = false")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_encoder, toy_data):
    """Trains a run of an encoder, once; returns its workshop, with the best weights, and folder."""
    root = tmp_path_factory.mktemp("runs")
    made = {}

    def of(family):
        if family not in made:
            folder, config = root / family, root / f"{family}.toml"
            encoder = tiny_encoder if family == "tiny" else write_family(root / "hub", family)
            config.write_text(plain_config("last" if family == "gpt2" else "first"))
            shop = open_workshop(config, toy_data, str(encoder))
            with Reporter() as reporter:
                train(shop, folder, reporter)
            shop.network.load_state_dict(load_file(folder / BEST))
            made[family] = (shop, folder)
        return made[family]

    return of


def said(shop, head):
    """What polyhead says in torch."""
    return annotate(shop.model(), TEXTS, head)


@pytest.mark.parametrize(
    ("family", "head"),
    [
        ("tiny", "mood"),
        ("tiny", "extra"),
        ("roberta", "mood"),
        ("mpnet", "mood"),
        ("gpt2", "extra"),
    ],
)
def test_a_text_head_is_taken_over_exactly(runs, tmp_path, family, head):
    """With a layer before the output, narrower than the standard one, and without any."""
    shop, folder = runs(family)
    export_transformers(Order(folder, head, tmp_path / "out"))
    labels = shop.config.head(head).labels
    classify = pipeline("text-classification", model=str(tmp_path / "out"), top_k=None)
    cut = shop.model().tokenize
    compared = 0
    for text, (_, ours) in zip(TEXTS, said(shop, head), strict=True):
        theirs = {entry["label"]: entry["score"] for entry in classify([text])[0]}
        assert theirs.keys() == set(labels)
        if cut(text).windows[0].ids.tolist() == classify.tokenizer(text)["input_ids"]:
            compared += 1
            found = [theirs[label] for label in labels]
            np.testing.assert_allclose(found, ours.scores, atol=2e-3)
    assert compared >= 2


def test_tags_are_taken_over_exactly(runs, tmp_path):
    """Each word's first sub-word has its tag and score."""
    shop, folder = runs("tiny")
    export_transformers(Order(folder, "tags", tmp_path / "out"))
    labels = shop.config.head("tags").labels
    tag = pipeline("token-classification", model=str(tmp_path / "out"))
    for text, (document, ours) in zip(TEXTS, said(shop, "tags"), strict=True):
        theirs = {entry["start"]: entry for entry in tag(text)}
        assert tag(text.split(), is_split_into_words=True)[0] == tag(text)
        for (start, _), best, score in zip(document.words, ours.tags, ours.scores, strict=True):
            assert theirs[start]["entity"] == labels[best]
            assert theirs[start]["score"] == pytest.approx(score, abs=2e-3)


def test_spans_are_taken_over_exactly(runs, tmp_path):
    """The pipeline's groups are the spans."""
    shop, folder = runs("tiny")
    export_transformers(Order(folder, "names", tmp_path / "out"))
    labels = shop.config.head("names").labels
    name = pipeline(
        "token-classification", model=str(tmp_path / "out"), aggregation_strategy="first"
    )
    text = TEXTS[1]
    document, ours = said(shop, "names")[1]
    expected = [
        (labels[s.label], document.words[s.first][0], document.words[s.end - 1][1])
        for s in ours.spans
    ]
    assert expected
    assert [(e["entity_group"], e["start"], e["end"]) for e in name(text)] == expected


def test_what_has_no_place_is_refused(capsys, toy, tmp_path):
    """Everything at once, by its key in the config; nothing is written."""
    out = tmp_path / "out"
    arguments = ["export-transformers", str(toy.run), "--head", "mood", "--out", str(out)]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert "shape_embedding" in told
    assert 'pooling: it is "mean", not "first"' in told
    assert "--fit" in told
    assert list(tmp_path.iterdir()) == []


def test_a_fitted_model_agrees_with_the_run(capsys, toy, tmp_path):
    """It learns the run's answers, and tells how far it got on texts it did not learn from."""
    out = tmp_path / "out"
    arguments = ["export-transformers", str(toy.bundle), "--head", "mood", "--out", str(out)]
    more = ["--data", str(toy.data), "--fit", "--epochs", "15", "--learning-rate", "2e-3"]
    assert main([*arguments, *more]) == 0
    told = capsys.readouterr().out
    assert "reviews: same answers " in told
    assert "of 24 texts" in told
    agreement = float(told.split("reviews: same answers ")[1].split()[0])
    assert agreement >= 90
    classify = pipeline("text-classification", model=str(out))
    assert classify("The film was superb.")[0]["label"] == "good"
    assert classify("The film was awful.")[0]["label"] == "bad"


def test_a_run_teaches_what_it_was_not_taught(toy):
    """What it was to learn from its own teachers says nothing about what it answers itself."""
    config = load_config(toy.config)
    shop = reopen_workshop(config, load_all(config, toy.data), toy.run)
    sources = tuple(replace(source, soft_targets=False) for source in config.sources)
    choosy = replace(config, sources=sources, distillation=DistillationConfig(heads=("names",)))
    (source,) = (source for source in sources if source.name == "reviews")
    examples = shop.data["reviews"].train[:3]
    given = lessons(replace(shop, config=choosy), [(source, examples)], FitOptions(), print)
    assert [lesson.example for lesson in given] == list(examples)
    assert all(lesson.soft.shape == (1, 3) for lesson in given)


def test_fitted_tags_agree_with_the_run(toy, tmp_path, capsys):
    """Where words lost their letter case, most tags are the same."""
    out = tmp_path / "out"
    arguments = ["export-transformers", str(toy.run), "--head", "names", "--out", str(out)]
    more = ["--data", str(toy.data), "--fit", "--epochs", "6", "--learning-rate", "2e-3"]
    assert main([*arguments, *more]) == 0
    told = capsys.readouterr().out
    assert float(told.split("visits: same answers ")[1].split()[0]) >= 90


def test_data_show_how_far_an_exact_export_agrees(runs, toy_data, tmp_path):
    """On raw text, which both cut into sub-words by their own rules."""
    _, folder = runs("tiny")
    (found,) = export_transformers(Order(folder, "tags", tmp_path / "out", toy_data))
    assert (found.source, found.texts, found.metric) == ("trees", 24, "accuracy")
    assert found.same == found.pieces == 1.0
    assert found.ours == found.theirs


def compared(shop, source, examples):
    """A standard model beside the network, and what evaluation says of the network."""
    model, reader = standard_model(shop, source.head), _reader(shop)
    found = compare(model, reader, shop.model(), source, examples)
    (figure, *_) = measure_source(shop.model(), source, "train", examples, raw=False)
    return found, figure.value


def test_labels_that_a_source_cannot_tell_apart_do_not_count(runs):
    """The best of those that it can is taken, as in all other figures."""
    shop, _ = runs("tiny")
    shop = replace(shop, network=copy.deepcopy(shop.network))
    labels = shop.config.head("mood").labels
    with torch.no_grad():
        shop.network.heads["mood"].out.bias[labels.index("plain")] += 20
    (source,) = (source for source in shop.config.sources if source.name == "poles")
    found, value = compared(shop, source, shop.data["poles"].train)
    assert found.ours == found.theirs == value > 0
    assert found.same == 1


def test_spans_that_a_source_does_not_mark_do_not_count(runs):
    """They are no mistakes."""
    shop, _ = runs("tiny")
    (source,) = (source for source in shop.config.sources if source.name == "visits")
    examples = [
        replace(each, target=tuple("O" if tag.endswith("LOC") else tag for tag in each.target))
        for each in shop.data["visits"].dev
    ]
    found, value = compared(shop, replace(source, among=("PER",)), examples)
    assert found.ours == found.theirs == value > compared(shop, source, examples)[1]


@pytest.mark.parametrize(
    ("kind", "tags", "among", "shown"),
    [
        ("spans", "O B-a I-a B-b I-b", ("a",), "O B-a I-a O O"),
        ("tagging", "O a b", ("O", "a"), "O a O"),
        ("tagging", "O a b", ("a",), "O a b"),
        ("classification", "O a b", ("O", "a"), "O a b"),
    ],
)
def test_tags_that_a_source_does_not_mark_are_outside(kind, tags, among, shown):
    """Where it knows an outside, as in evaluation."""
    spec = HeadSpec("some", kind, ("a", "b"), "file")
    assert _as_in_source(tags.split(), spec, among) == shown.split()


def test_layers_that_the_run_has_not_are_drawn_by_its_seed(open_shop):
    """So that a conversion comes out the same again."""
    heads = HEADS.replace('kind = "tagging"', 'kind = "tagging"\nhidden = 8')
    shop = open_shop(toy_config(heads, QUICK))
    weights = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        weights.append(standard_model(shop, "tags").classifier.weight)
    assert torch.equal(*weights)


def test_another_model_is_no_proof(runs):
    """Weights that give something else are found out."""
    shop, _ = runs("tiny")
    model = standard_model(shop, "mood")
    assert prove(shop, "mood", model, _windows(shop)) < 1e-4
    model.classifier.bias.data[0] += 1
    with pytest.raises(ExportError, match="does not give"):
        prove(shop, "mood", model, _windows(shop))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--head", "moood"], 'no head "moood"; the run has extra, mood, names, tags'),
        (["--head", "mood", "--fit"], "give --data"),
    ],
)
def test_wrong_wishes(capsys, toy, tmp_path, more, told):
    """One line each."""
    out = str(tmp_path / "out")
    assert main(["export-transformers", str(toy.run), "--out", out, *more]) == 2
    assert told in capsys.readouterr().err


def test_a_place_that_is_taken_or_no_run(toy, tmp_path):
    """Nothing of it is lost."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TrainingError, match="free by --out"):
        export_transformers(Order(toy.run, "mood", tmp_path))
    with pytest.raises(TrainingError, match="no weights of a run"):
        export_transformers(Order(tmp_path, "mood", tmp_path / "out"))
