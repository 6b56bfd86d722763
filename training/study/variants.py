"""The runs of the study: what each changes in one small common configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

SEEDS = (1, 2, 3)
SIZES = {50: 16.0, 100: 12.0, 500: 6.0, 1000: 4.0, 5000: 1.5, 0: 1.0}
"""Labelled examples of the few-examples runs, 0 for all, and the passes over them."""

HEADS: dict[str, dict[str, Any]] = {
    "sentiment": {"kind": "classification", "labels": ["negative", "positive"]},
    "topic": {"kind": "classification", "labels": ["World", "Sports", "Business", "Sci/Tech"]},
    "entities": {"kind": "spans", "labels": ["PER", "ORG", "LOC"]},
    "pos": {
        "kind": "tagging",
        "labels": [
            "ADJ",
            "ADP",
            "ADV",
            "AUX",
            "CCONJ",
            "DET",
            "INTJ",
            "NOUN",
            "NUM",
            "PART",
            "PRON",
            "PROPN",
            "PUNCT",
            "SCONJ",
            "SYM",
            "VERB",
            "X",
        ],
    },
}

SOURCES: dict[str, dict[str, Any]] = {
    "sentiment": {
        "name": "sst2",
        "format": "jsonl",
        "train": "sst2/train-sentences.jsonl",
        "dev": "sst2/dev.jsonl",
        "passes": 2.0,
    },
    "topic": {
        "name": "ag-news",
        "format": "jsonl",
        "train": "ag-news/train.jsonl.gz",
        "hold_out": 1000,
        "max_examples": 6000,
        "passes": 1.0,
    },
    "entities": {
        "name": "uner-ewt",
        "format": "conll",
        "train": "uner-ewt/train.conll",
        "dev": "uner-ewt/dev.conll",
        "max_examples": 6000,
        "passes": 2.0,
        "metric": "entity_f1",
    },
    "pos": {
        "name": "ud-ewt",
        "format": "conllu",
        "train": "ud-ewt/en_ewt-ud-train.conllu.gz",
        "dev": "ud-ewt/en_ewt-ud-dev.conllu",
        "max_examples": 6000,
        "passes": 1.5,
    },
}


@dataclass(frozen=True, slots=True)
class Variant:
    """One training run of the study."""

    part: str
    """The question that it helps to answer."""
    name: str
    seed: int = 7
    heads: tuple[str, ...] = tuple(HEADS)
    encoder: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    """Changes to the sources."""
    recurrent: bool = False
    """Whether it starts from the recurrent language model instead of the transformer."""

    @property
    def key(self) -> str:
        """Names the run's files and its row among the results."""
        return f"{self.part}-{self.name}-{self.seed}"

    def config(self) -> str:
        """The configuration, as TOML."""
        encoder = {"max_tokens": 256, "shape_embedding": True, **self.encoder}
        training = {
            "batch_tokens": 768,
            "learning_rate": 2e-4,
            "head_learning_rate": 2e-3,
            "schedule": "linear",
            "validations": 1,
            "patience": 0,
            **self.training,
        }
        lines = [f'name = "study"\nversion = "1"\nseed = {self.seed}']
        lines += [_table("[encoder]", encoder), _table("[training]", training)]
        for head in self.heads:
            lines.append(_table("[[heads]]", {"name": head, **HEADS[head]}))
            source = {"head": head, **SOURCES[head], **self.source}
            lines.append(_table("[[sources]]", source))
        return "\n\n".join(lines) + "\n"


def _table(title: str, values: dict[str, Any]) -> str:
    return "\n".join([title, *(f"{key} = {json.dumps(value)}" for key, value in values.items())])


RANDOM = {"init": "random"}
RECURRENT = {"shape_embedding": False}
CURVE = {"validations": 6}


def variants() -> list[Variant]:
    """All runs, in the order in which they are most worth having."""
    found = [
        Variant("encoders", "pretrained", training=CURVE),
        Variant("encoders", "random", encoder=RANDOM, training=CURVE),
    ]
    found += [Variant("tasks", head, heads=(head,)) for head in HEADS]
    found += [
        Variant("modes", "frozen", encoder={"train": "frozen"}),
        Variant("modes", "frozen-mix", encoder={"train": "frozen", "mix": True}),
        Variant("modes", "adapters", encoder={"train": "adapters"}, training=_rate(1e-3)),
        Variant(
            "modes",
            "gradual",
            encoder={"train": "gradual"},
            training={"schedule": "slanted", "warmup": 0.1, "layer_decay": 0.8},
        ),
    ]
    found += [Variant("layers", str(count), encoder={"layers": count}) for count in (3, 4, 5)]
    return found + _few()


def _few() -> list[Variant]:
    found = []
    for seed in SEEDS:
        for size, passes in SIZES.items():
            change = {"max_examples": size, "passes": passes}
            for name, options in (
                ("pretrained", {}),
                ("random", {"encoder": RANDOM}),
                ("recurrent", {"encoder": RECURRENT, "training": _rate(1e-3), "recurrent": True}),
            ):
                made = Variant(
                    "data", f"{name}-{size}", seed, ("sentiment",), source=change, **options
                )
                found.append(made)
    return found


def _rate(value: float) -> dict[str, Any]:
    return {"learning_rate": value}
