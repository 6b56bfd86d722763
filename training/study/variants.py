"""The runs of the study: what each changes in one small common configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

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
        "passes": 1.5,
    },
    "topic": {
        "name": "ag-news",
        "format": "jsonl",
        "train": "ag-news/train.jsonl.gz",
        "hold_out": 1000,
        "max_examples": 4000,
        "passes": 1.0,
    },
    "entities": {
        "name": "uner-ewt",
        "format": "conll",
        "train": "uner-ewt/train.conll",
        "dev": "uner-ewt/dev.conll",
        "max_examples": 4000,
        "passes": 2.0,
        "metric": "entity_f1",
    },
    "pos": {
        "name": "ud-ewt",
        "format": "conllu",
        "train": "ud-ewt/en_ewt-ud-train.conllu.gz",
        "dev": "ud-ewt/en_ewt-ud-dev.conllu",
        "max_examples": 4000,
        "passes": 1.5,
    },
}


PAIR = ("sentiment", "entities")
"""The heads of the runs that compare ways of transfer and changes to the data."""

NOISES: dict[str, dict[str, float]] = {
    "lower": {"lower": 1.0},
    "upper": {"upper": 1.0},
    "typo": {"typo": 1.0},
}
"""What is done to dev texts to see how a model bears it."""


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
    further: tuple[dict[str, Any], ...] = ()
    """Sources beside those of the heads."""
    start: str = "encoder"
    """What it starts from: the option of the study that names it."""
    noisy: bool = False
    """Whether it is measured on changed dev texts too."""

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
        if self.noisy or any("vary" in source for source in self.further):
            lines.append(_table("[augmentation]", {"forms": SOURCES["pos"]["train"]}))
        for head in self.heads:
            lines.append(_table("[[heads]]", {"name": head, **HEADS[head]}))
            source = {"head": head, **SOURCES[head], **self.source}
            if "augment" in source and HEADS[head]["kind"] != "spans":
                source["augment"] = _without_mentions(source["augment"])
            lines.append(_table("[[sources]]", source))
        lines += [_table("[[sources]]", source) for source in self.further]
        return "\n\n".join(lines) + "\n"


def _without_mentions(chances: dict[str, float]) -> dict[str, float]:
    return {key: chance for key, chance in chances.items() if key != "mention"}


def _table(title: str, values: dict[str, Any]) -> str:
    return "\n".join([title, *(f"{key} = {_value(value)}" for key, value in values.items())])


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {json.dumps(part)}" for key, part in value.items()) + " }"
    return json.dumps(value)


RANDOM = {"init": "random"}
RECURRENT = {"shape_embedding": False}
CURVE = {"validations": 5}
FEW_LABELS = {"max_examples": 500, "passes": SIZES[500]}
WITHOUT_LABELS = {
    "name": "sst2-unlabelled",
    "head": "sentiment",
    "format": "jsonl",
    "train": SOURCES["sentiment"]["train"],
    "unlabelled": True,
    "passes": 1.0,
}
"""The same sentences, of which only a teacher says what they are."""
FEW_WITHOUT_LABELS = {**WITHOUT_LABELS, "max_examples": 500, "passes": SIZES[500]}
VARIED = {**WITHOUT_LABELS, "max_examples": 500, "vary": {"copies": 20}}
"""500 of them, and what becomes of them in 20 copies."""


def variants() -> list[Variant]:
    """All runs, in the order in which they are most worth having."""
    found = [
        Variant("encoders", "pretrained", training=CURVE),
        Variant("encoders", "random", encoder=RANDOM, training=CURVE),
        *(
            Variant(
                "encoders", name, encoder=RECURRENT, training={**CURVE, **_rate(1e-3)}, start=start
            )
            for name, start in (("AWD-LSTM", "recurrent"), ("ELMo", "bidirectional"))
        ),
    ]
    found += [Variant("tasks", head, heads=(head,)) for head in HEADS]
    found += [Variant("layers", str(count), encoder={"layers": count}) for count in (3, 4, 5)]
    return [*found, *_modes(), *_few(1), *_few(2), *_few(3), *_noise(), *_unlabelled(), *_ways()]


def _modes() -> list[Variant]:
    slanted = {"schedule": "slanted", "warmup": 0.1, "layer_decay": 0.8}
    return [
        Variant("modes", "frozen", encoder={"train": "frozen"}),
        Variant("modes", "frozen, mix of layers", encoder={"train": "frozen", "mix": True}),
        Variant("modes", "adapters", encoder={"train": "adapters"}, training=_rate(1e-3)),
        Variant("modes", "gradual, slanted", encoder={"train": "gradual"}, training=slanted),
    ]


def _ways() -> list[Variant]:
    """One run for each way that has no part of its own; the first is what they change."""
    changes: dict[str, dict[str, Any]] = {
        "plain": {},
        "taught": {"start": "teacher"},
        "pre-trained on the domain": {"start": "domain"},
        "mix of layers": {"encoder": {"mix": True}},
        "one more layer": {"encoder": {"add_layers": 1}},
        "slanted, layer by layer": {"training": {"schedule": "slanted", "layer_decay": 0.8}},
        "cosine": {"training": {"schedule": "cosine"}},
        "adafactor": {"training": {"optimiser": "adafactor"}},
        "radam": {"training": {"optimiser": "radam"}},
        "sgd": {"training": {"optimiser": "sgd", **_rate(2e-2), "head_learning_rate": 0.1}},
        "sampling by temperature": {"training": {"sampling": "temperature"}},
        "annealed sampling": {"training": {"sampling": "annealed"}},
        "consistency": {"training": {"consistency": 1.0}},
    }
    return [Variant("ways", name, heads=PAIR, **change) for name, change in changes.items()]


def _unlabelled() -> list[Variant]:
    """What texts without labels give beside few that have some."""
    few: dict[str, Any] = {"heads": ("sentiment",), "source": FEW_LABELS}
    return [
        Variant("unlabelled", "500 labels", **few),
        Variant("unlabelled", "500 labels, taught", start="teacher", **few),
        Variant(
            "unlabelled",
            "500 labels, taught also on all texts",
            start="teacher",
            further=(WITHOUT_LABELS,),
            **few,
        ),
        *(
            Variant("unlabelled", name, start="teacher", further=(source,), **few)
            for name, source in (
                ("500 labels, taught also on 500 texts", FEW_WITHOUT_LABELS),
                ("500 labels, taught also on 500 texts and 20 copies of each", VARIED),
            )
        ),
    ]


def _noise() -> list[Variant]:
    augmentations: dict[str, dict[str, float]] = {
        "none": {},
        "letter case": {"lower": 0.1, "upper": 0.1, "title": 0.05},
        "typing errors": {"typo": 0.3},
        "other forms of a lemma": {"lemma": 0.2},
        "words masked": {"mask": 0.1},
        "other spans": {"mention": 0.5},
    }
    return [
        Variant("noise", name, heads=PAIR, source={"augment": chances}, noisy=True)
        for name, chances in augmentations.items()
    ]


def _few(seed: int) -> list[Variant]:
    starts: dict[str, dict[str, Any]] = {
        "pretrained": {},
        "random": {"encoder": RANDOM},
        "recurrent": {"encoder": RECURRENT, "training": _rate(1e-3), "start": "recurrent"},
    }
    return [
        Variant(
            "data",
            f"{name}-{size}",
            seed,
            ("sentiment",),
            source={"max_examples": size, "passes": passes},
            **options,
        )
        for size, passes in SIZES.items()
        for name, options in starts.items()
    ]


def _rate(value: float) -> dict[str, Any]:
    return {"learning_rate": value}
