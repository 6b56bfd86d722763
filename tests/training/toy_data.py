"""Small data sets of three kinds that any encoder learns in seconds, and configs for them."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_NOUNS = ("room", "film", "phone", "train", "river", "book", "meal", "coat", "garden", "song")
_VERBS = ("was", "felt", "seemed", "looked", "sounded", "stayed")
_GOOD = ("good", "great", "lovely", "superb", "fine", "sweet")
_BAD = ("bad", "awful", "poor", "ugly", "dire", "sour")
_PLAIN = ("long", "round", "green", "wooden", "wide", "new")
_PEOPLE = ("Ann", "Bob", "Eve", "Carl", "Dora", "Hugo")
_PLACES = ("Paris", "Rome", "Oslo", "Bern", "Lima", "Cairo")
WORDS = {
    word.lower()
    for group in (_NOUNS, _VERBS, _GOOD, _BAD, _PLAIN, _PEOPLE, _PLACES, ("the", "in", "met"))
    for word in group
}
"""Every word of the data, in lower case."""

HEADS = """
[[heads]]
name = "mood"
kind = "classification"
labels = ["bad", "plain", "good"]
hidden = 16

[[heads]]
name = "names"
kind = "spans"
labels = ["PER", "LOC"]

[[heads]]
name = "tags"
kind = "tagging"
labels = ["DET", "NOUN", "VERB", "ADJ", "PUNCT"]

[[heads]]
name = "extra"
kind = "classification"
labels = ["bad", "good"]
pooling = "max"
export = false
"""

SOURCES = """
[[sources]]
name = "reviews"
head = "mood"
format = "jsonl"
train = "mood/train.jsonl"
dev = "mood/dev.jsonl"
test = "mood/test.jsonl"
map = { "very good" = "good" }
passes = 4.0
licence = "CC0 1.0"

[[sources]]
name = "poles"
head = "mood"
format = "jsonl"
train = "poles/train.jsonl"
among = ["bad", "good"]
licence = "CC BY-SA 4.0"

[[sources]]
name = "visits"
head = "names"
format = "conll"
train = "names/train.conll"
dev = "names/dev.conll"
test = "names/test.conll"
passes = 3.0
licence = "research use only"
augment = { join = 0.3, typo = 0.05 }

[[sources]]
name = "trees"
head = "tags"
format = "conllu"
train = "tags/train.conllu"
dev = "tags/dev.conllu"
passes = 2.0
licence = "MIT"

[[sources]]
name = "side"
head = "extra"
format = "jsonl"
train = "poles/train.jsonl"
dev = "poles/train.jsonl"
select = false
"""


def toy_config(heads: str = HEADS, sources: str = SOURCES, **training: object) -> str:
    """The text of a config; ``training`` adds to or replaces its training options."""
    options = {
        "batch_tokens": 96,
        "learning_rate": 6e-3,
        "head_learning_rate": 5e-3,
        "average": 0.9,
        "validations": 3,
        "patience": 0,
        "checkpoint_seconds": 0,
        "threads": 1,
        "precision": "fp32",
        **training,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    return "\n".join(
        [
            'name = "toy"\nversion = "1.0"\nseed = 3',
            '[encoder]\nmodel = "somewhere/tiny"\nmax_tokens = 32\noverlap = 8\ndropout = 0.1',
            "[training]",
            *lines,
            '[export]\nprecision = "fp32"\ncalibration_samples = 24',
            heads,
            sources,
        ]
    )


def write_toy_data(root: Path) -> Path:
    """Write all data files below a directory and return it."""
    rng = random.Random(0)
    for part, count in (("train", 120), ("dev", 24), ("test", 24)):
        _write(root / f"mood/{part}.jsonl", [_review(rng) for _ in range(count)])
        _write(root / f"names/{part}.conll", [_visit(rng) for _ in range(count)])
        _write(root / f"tags/{part}.conllu", [_tree(rng) for _ in range(count)])
    _write(root / "poles/train.jsonl", [_pole(rng) for _ in range(40)])
    return root


def _write(file: Path, rows: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _clause(rng: random.Random, quality: str) -> str:
    return f"The {rng.choice(_NOUNS)} {rng.choice(_VERBS)} {quality}"


def _review(rng: random.Random) -> str:
    label, group = rng.choice([("good", _GOOD), ("bad", _BAD), ("plain", _PLAIN)])
    text = _clause(rng, rng.choice(group)) + "."
    shown = "very good" if label == "good" and rng.random() < 0.5 else label
    return json.dumps({"text": text, "label": shown})


def _pole(rng: random.Random) -> str:
    label, group = rng.choice([("good", _GOOD), ("bad", _BAD)])
    return json.dumps({"text": _clause(rng, rng.choice(group)), "label": label})


def _visit(rng: random.Random) -> str:
    rows = [(rng.choice(_PEOPLE), "B-PER")]
    if rng.random() < 0.5:
        rows.append((rng.choice(_PEOPLE), "I-PER"))
    rows += [("met", "O"), (rng.choice(_PEOPLE), "B-PER"), ("in", "O")]
    rows += [(rng.choice(_PLACES), "B-LOC"), (".", "O")]
    return "\n".join(f"{word}\t{tag}" for word, tag in rows) + "\n"


def _tree(rng: random.Random) -> str:
    words = [*_clause(rng, rng.choice(_GOOD + _BAD + _PLAIN)).split(), "."]
    tags = ("DET", "NOUN", "VERB", "ADJ", "PUNCT")
    rows = [
        f"{n}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t{'SpaceAfter=No' if n == 4 else '_'}"
        for n, (word, tag) in enumerate(zip(words, tags, strict=True), 1)
    ]
    return "\n".join([f"# text = {' '.join(words[:-1])}.", *rows]) + "\n"
