"""Figures from counts by text are those of the metrics module."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace

import numpy as np
import pytest

from polyhead_server.bundle import open_bundle, seal_bundle
from polyhead_server.model import Model
from polyhead_training.config_types import HeadConfig, SourceConfig
from polyhead_training.data import Example
from polyhead_training.data.load import load_source
from polyhead_training.evaluation import measure_source
from polyhead_training.metrics import score, tag_f1_from_raw, word_f1
from polyhead_training.prediction_counts import figure, label_figures, part_counts
from polyhead_training.predictions import Part, RawAnswer, answered_part
from polyhead_training.problems import Problems

RNG = random.Random(1)
LABELS = ("a", "b", "c", "never")


def part_of(kind, metric, gold, answers, labels=LABELS, **more):
    """A part with these gold and given answers."""
    source = SourceConfig(name="s", head="h", format="jsonl", metric=metric)
    examples = [
        Example(
            f"f:{n}", "x", None, target if isinstance(target, str) else tuple(target), None, "f"
        )
        for n, target in enumerate(gold)
    ]
    examples = more.pop("examples", examples)
    even = [[0.5] * (1 if isinstance(answer, str) else len(answer)) for answer in answers]
    scores = more.pop("scores", even)
    return Part(source, "test", kind, labels, examples, answers, scores, **more)


def total(part, metric):
    """The figure of the sums over all texts."""
    return float(figure(metric, part_counts(part)[metric].sum(axis=0)))


def random_tags(choices, sentences=40):
    return [[RNG.choice(choices) for _ in range(RNG.randint(1, 9))] for _ in range(sentences)]


@pytest.mark.parametrize("metric", ["accuracy", "macro_recall", "macro_f1"])
@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_labels_and_tags(metric, kind):
    """Labels that never occur change nothing."""
    if kind == "classification":
        gold, answers = ([RNG.choice("abc") for _ in range(60)] for _ in range(2))
    else:
        gold = random_tags("abc")
        answers = [[RNG.choice("abc") for _ in tags] for tags in gold]
    part = part_of(kind, metric, gold, answers)
    assert total(part, metric) == pytest.approx(score(metric, gold, answers))


def test_spans():
    """Of ill-formed tags, too."""
    choices = ["O", "O", "B-a", "I-a", "B-b", "I-b"]
    gold = random_tags(choices)
    answers = [[RNG.choice([tag, *choices]) for tag in tags] for tags in gold]
    part = part_of("spans", "entity_f1", gold, answers)
    assert total(part, "entity_f1") == pytest.approx(score("entity_f1", gold, answers))


def test_labels_that_do_not_count():
    """Words and spans with other gold labels are left out; so are spans given with others."""
    tags = part_of("tagging", "accuracy", [["a", "z", "b"]], [["a", "a", "z"]])
    assert total(tags, "accuracy") == 0.5
    spans = part_of("spans", "entity_f1", [["B-z", "B-a"]], [["B-y", "B-a"]], labels=("a",))
    assert total(spans, "entity_f1") == 1


@pytest.mark.parametrize("metric", ["accuracy", "macro_recall", "macro_f1"])
def test_answers_that_a_source_does_not_tell_apart(metric):
    """They are wrong, and no label of their own."""
    gold = random_tags("abc")
    answers = [[RNG.choice("abcxyz") for _ in tags] for tags in gold]
    part = part_of("tagging", metric, gold, answers)
    assert total(part, metric) == pytest.approx(score(metric, gold, answers, LABELS))


@pytest.mark.parametrize("among", [["O", "NOUN", "VERB"], ["NOUN", "VERB", "ADJ"]])
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_figures_are_those_of_evaluate(toy, tmp_path, among, metric):
    """Of a source that tells some tags apart only, on words and on raw text."""
    folder = shutil.copytree(toy.bundle, tmp_path / "bundle")
    manifest = open_bundle(folder).manifest
    labels = ("O", "NOUN", "VERB", "ADJ", "PUNCT")  # what was DET is O
    heads = tuple(replace(h, labels=labels) if h.name == "tags" else h for h in manifest.heads)
    seal_bundle(folder, replace(manifest, heads=heads))
    tags = {"DET": "O", "NOUN": "NOUN", "VERB": "VERB", "ADJ": "ADJ", "PUNCT": "O"}
    known = {tag: name if name in among else among[0] for tag, name in tags.items()}
    source = SourceConfig(
        "trees", "tags", "conllu", dev=("tags/dev.conllu",), metric=metric, map=known
    )
    source = replace(source, among=tuple(label for label in labels if label in among))
    problems = Problems()
    examples = load_source(source, HeadConfig("tags", "tagging", labels), toy.data, problems).dev
    problems.raise_if_any()
    model = Model.load(folder, threads=1)
    part = answered_part(model, source, "dev", examples, source.among)
    measured = measure_source(model, source, "dev", examples)
    model.close()
    assert [m.metric for m in measured] == [metric, "tag_f1_from_raw", "word_f1_from_raw"]
    for one in measured:
        assert total(part, one.metric) == pytest.approx(one.value)


def test_words_from_raw_text():
    """Splits that differ, and two words of one place."""
    text = "don't stop now"
    places = ((0, 2), (2, 5), (6, 10), (11, 14))
    example = Example("f:1", text, ("do", "n't", "stop", "now"), ("a", "b", "a", "c"), places, "f")
    twice = Example("f:2", "del", ("de", "el"), ("a", "a"), ((0, 3), (0, 3)), "f")
    raw = [
        RawAnswer([(0, 5), (6, 10), (11, 14)], ["a", "b", "c"]),
        RawAnswer([(0, 3)], ["a"]),
    ]
    gold = [example.target, twice.target]
    part = part_of("tagging", "accuracy", gold, gold, examples=[example, twice], raw=raw)
    spans = [places, twice.spans]
    words = [answer.words for answer in raw]
    tags = [answer.tags for answer in raw]
    assert total(part, "tag_f1_from_raw") == pytest.approx(
        tag_f1_from_raw(spans, gold, words, tags)
    )
    assert total(part, "word_f1_from_raw") == pytest.approx(word_f1(spans, words))


def test_figures_of_labels():
    """Precision, recall and F1; not a number where a label was neither wanted nor given."""
    part = part_of("classification", "accuracy", list("aaab"), list("aabb"), labels=("a", "b", "c"))
    found = label_figures(part_counts(part)["accuracy"].sum(axis=0))
    assert found[:, 0] == pytest.approx([1, 2 / 3, 0.8])
    assert found[:, 1] == pytest.approx([0.5, 1, 2 / 3])
    assert np.isnan(found[:, 2]).all()


def test_nothing_to_count():
    """Is 0, as in the metrics module, without a warning."""
    nothing = np.zeros((3, 2))
    for metric in ("accuracy", "macro_recall", "macro_f1", "entity_f1"):
        assert figure(metric, nothing) == 0
