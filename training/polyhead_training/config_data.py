"""What is asked of the data as a whole, and how training examples are changed."""

from typing import cast, get_args

from polyhead_training.config_reader import Table
from polyhead_training.config_types import (
    AugmentationConfig,
    AugmentConfig,
    DataConfig,
    HeadConfig,
    Leakage,
    VaryConfig,
)

_MOST_WORDS = 0.9
_MOST_COPIES = 1000
_MOST_VARIED_WORDS = 0.5
_UNIVERSAL_TAGS = frozenset(
    ("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM")
).union(("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"))


def read_data(table: Table) -> DataConfig:
    """Read ``[data]``."""
    default = DataConfig()
    config = DataConfig(
        leakage=cast("Leakage", table.choice("leakage", default.leakage, get_args(Leakage))),
    )
    table.close()
    return config


def read_augmentation(table: Table, sources: tuple[Table, ...]) -> AugmentationConfig:
    """Read ``[augmentation]``; sources that need a file which nothing names have a problem."""
    files = {key: table.texts(key, alone=True) for key in ("synonyms", "forms")}
    lines = {
        name: table.line(key, at) for key, names in files.items() for at, name in enumerate(names)
    }
    table.close()
    has_forms = bool(files["forms"]) or any(map(_trains_on_conllu, sources))
    for source in sources:
        if not files["synonyms"] and _wants(source, "synonym"):
            message = 'synonym needs a list of synonyms: synonyms = "FILE" in [augmentation]'
            source.problem(message, "augment", "synonym")
        if not has_forms and _wants(source, "lemma"):
            message = 'lemma needs CoNLL-U data to train on, or forms = "FILE" in [augmentation]'
            source.problem(message, "augment", "lemma")
        if not has_forms and _varies_words(source):
            message = (
                "vary needs CoNLL-U data to tell the classes of words: "
                'forms = "FILE" in [augmentation], or words = 0 in vary'
            )
            source.problem(message, "vary")
    return AugmentationConfig(**files, lines=lines)


def _wants(source: Table, key: str) -> bool:
    chances = source.raw("augment")
    return isinstance(chances, dict) and bool(chances.get(key))


def _varies_words(source: Table) -> bool:
    changes = source.raw("vary")
    return isinstance(changes, dict) and bool(
        changes.get("copies") and changes.get("words", VaryConfig().words)
    )


def _trains_on_conllu(source: Table) -> bool:
    return source.raw("format") == "conllu" and bool(source.raw("train"))


def read_augment(table: Table, head: HeadConfig | None) -> AugmentConfig:
    """Read the `augment` of a source; `head` is None where it has problems."""
    config = AugmentConfig(
        lower=table.number("lower", 0.0, 0, 1),
        upper=table.number("upper", 0.0, 0, 1),
        title=table.number("title", 0.0, 0, 1),
        join=table.number("join", 0.0, 0, 1),
        typo=table.number("typo", 0.0, 0, 1),
        synonym=table.number("synonym", 0.0, 0, 1),
        lemma=table.number("lemma", 0.0, 0, 1),
        mention=table.number("mention", 0.0, 0, 1),
        punctuation=table.number("punctuation", 0.0, 0, 1),
        mask=table.number("mask", 0.0, 0, _MOST_WORDS),
        drop=table.number("drop", 0.0, 0, _MOST_WORDS),
    )
    if config.lower + config.upper + config.title > 1:
        table.problem("lower, upper and title must be at most 1 together")
    if head:
        _check_augment(table, config, head)
    table.close()
    return config


def read_vary(table: Table, *, unlabelled: bool) -> VaryConfig:
    """Read the `vary` of a source."""
    default = VaryConfig()
    config = VaryConfig(
        copies=table.integer("copies", default.copies, 0, _MOST_COPIES),
        words=table.number("words", default.words, 0, _MOST_VARIED_WORDS),
        cut=table.number("cut", default.cut, 0, 1),
        join=table.number("join", default.join, 0, 1),
    )
    if config.cut + config.join > 1:
        table.problem("cut and join must be at most 1 together")
    if config.copies and not unlabelled:
        table.problem("vary is for sources without labels: no label survives such changes")
    table.close()
    return config


def _check_augment(table: Table, config: AugmentConfig, head: HeadConfig) -> None:
    if config.join and head.kind == "classification":
        table.problem("join is for sources of words, not for classification", "join")
    if config.mention and head.kind != "spans":
        table.problem("mention is for spans, which other spans can stand for", "mention")
    if head.kind != "classification":
        for key in ("punctuation", "drop"):
            if getattr(config, key):
                message = f"{key} is for classification: every word needs its tag"
                table.problem(message, key)
    if config.lemma and head.kind == "tagging" and not _UNIVERSAL_TAGS.issuperset(head.labels):
        message = (
            "lemma is for tagging heads with universal tags, which other forms of a word share"
        )
        table.problem(message, "lemma")
