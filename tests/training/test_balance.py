"""The report on data counts what is there and names what is missing."""

import math
from dataclasses import replace

import pytest

from polyhead_training.balance import source_balance, warnings
from polyhead_training.config import Config, HeadConfig, SourceConfig
from polyhead_training.config_types import (
    AugmentationConfig,
    DataConfig,
    DistillationConfig,
    EncoderConfig,
    ExportConfig,
    TrainingConfig,
)
from polyhead_training.data import Example, SourceData

MOOD = HeadConfig("mood", "classification", ("sad", "flat", "glad"))
POS = HeadConfig("pos", "tagging", ("N", "V"))
NAMES = HeadConfig("names", "spans", ("PER", "LOC"))


def texts(*rows: tuple[str, str]) -> tuple[Example, ...]:
    return tuple(Example("f:1", text, None, label, None, "f") for text, label in rows)


def sentences(*rows: str) -> tuple[Example, ...]:
    """Sentences written as word/TAG."""
    pairs = [[part.rsplit("/", 1) for part in row.split()] for row in rows]
    return tuple(
        Example("f:1", None, tuple(w for w, _ in row), tuple(t for _, t in row), None, "f")
        for row in pairs
    )


def config_of(*heads: HeadConfig) -> Config:
    return Config(
        name="demo",
        version="1",
        seed=0,
        language="en",
        encoder=EncoderConfig(),
        training=TrainingConfig(),
        heads=heads,
        sources=(),
        export=ExportConfig(),
        data=DataConfig(),
        augmentation=AugmentationConfig(),
        distillation=DistillationConfig(),
        path=None,
    )


NOTES = SourceConfig("notes", "mood", "jsonl")


def test_texts_are_counted_by_label_and_part():
    """A part without examples is left out; a label without examples counts 0."""
    train = texts(("a b", "sad"), ("a b c d", "sad"), ("a", "sad"), ("a b c", "glad"))
    found = source_balance(NOTES, MOOD, SourceData(train, (), texts(("x y", "flat")), dropped=2))

    assert (found.source, found.head, found.kind, found.dropped) == (
        "notes",
        "mood",
        "classification",
        2,
    )
    assert list(found.parts) == ["train", "test"]
    assert found.parts["train"].labels == {"sad": 3, "flat": 0, "glad": 1}
    assert found.parts["train"].examples == 4
    assert found.unseen == ("flat",)
    assert found.imbalance == 3.0
    wanted = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)) / math.log(3)
    assert found.entropy == pytest.approx(wanted)


def test_lengths_are_in_words():
    """Mean, median, the length that nineteen of twenty do not pass, and the longest."""
    train = texts(*((" ".join("w" * n), "sad") for n in range(1, 41)))
    lengths = source_balance(NOTES, MOOD, SourceData(train, (), ())).parts["train"].lengths

    assert (lengths.mean, lengths.median, lengths.p95, lengths.longest) == (20.5, 20, 38, 40)


def test_balanced_labels_have_an_entropy_of_one():
    """And a single one has none."""
    source = replace(NOTES, among=("sad", "glad"))
    even = SourceData(texts(("a", "sad"), ("b", "glad")), (), ())
    single = SourceData(texts(("a", "sad")), (), ())

    assert source_balance(source, MOOD, even).entropy == pytest.approx(1)
    assert source_balance(source, MOOD, even).unseen == ()
    assert source_balance(source, MOOD, single).entropy == 0


def test_tags_are_counted_by_word():
    """The lengths are those of the sentences."""
    data = SourceData(sentences("a/N b/V c/N", "d/N"), (), ())
    found = source_balance(SourceConfig("s", "pos", "conll"), POS, data).parts["train"]

    assert found.labels == {"N": 3, "V": 1}
    assert (found.examples, found.lengths.longest, found.outside) == (2, 3, 0)


def test_spans_are_counted_not_their_words():
    """Words outside are counted apart."""
    data = SourceData(sentences("Ann/B-PER Lee/I-PER saw/O Bob/B-PER ./O"), (), ())
    found = source_balance(SourceConfig("s", "names", "conll"), NAMES, data)

    assert found.parts["train"].labels == {"PER": 2, "LOC": 0}
    assert found.parts["train"].outside == 2
    assert found.unseen == ("LOC",)


def test_a_source_that_is_only_measured_has_no_balance():
    """No label is missed where none is trained."""
    found = source_balance(NOTES, MOOD, SourceData((), texts(("a", "sad")), ()))

    assert (found.entropy, found.imbalance, found.unseen) == (0, 0, ())


def test_missing_labels_are_warned_about_once():
    """Of a head, where no source has them; of a source, where another has; and measured ones."""
    first = source_balance(
        NOTES, MOOD, SourceData(texts(("a", "sad")), texts(("a", "glad")), texts(("a", "sad")))
    )
    second = source_balance(
        replace(NOTES, name="more", among=("glad",)), MOOD, SourceData(texts(("a", "glad")), (), ())
    )
    lines = warnings(config_of(MOOD), [first, second])

    assert [line.partition(";")[0] for line in lines] == [
        'head "mood": label "flat" is in no training example',
        'source "notes": label "glad" is in no training example of it',
        'source "notes": label "glad" is in dev but not in train',
    ]


def test_full_data_have_no_warnings():
    """Every label is trained."""
    data = SourceData(texts(("a", "sad"), ("b", "flat"), ("c", "glad")), texts(("a", "sad")), ())

    assert warnings(config_of(MOOD), [source_balance(NOTES, MOOD, data)]) == []
