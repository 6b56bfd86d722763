"""Measures a model on the data of a configuration, with the serving code, whatever the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead_server.heads import ClassificationOutput, SpansOutput, TaggingOutput
from polyhead_server.offline import annotate_documents
from polyhead_training.batches import source_of
from polyhead_training.metrics import score, tag_f1_from_raw, word_f1

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyhead_server.bundle import HeadSpec
    from polyhead_server.encoding import Document, Source
    from polyhead_server.heads import HeadOutput
    from polyhead_server.model import Model
    from polyhead_training.config import SourceConfig
    from polyhead_training.data import Example

BATCH_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of one head on one part of a data set."""

    head: str
    source: str
    split: str
    metric: str
    value: float
    """From 0 to 1."""
    count: int
    """Texts or sentences measured."""
    select: bool = True
    """Whether it counts in the choice of weights."""


def annotate(
    model: Model, sources: Sequence[Source], task: str, *, batch_tokens: int = BATCH_TOKENS
) -> list[tuple[Document, HeadOutput]]:
    """Run one task on texts of any number, in batches of texts of like length."""
    documents = [model.tokenize(source) for source in sources]
    found = annotate_documents(model, documents, (task,), batch_tokens)
    return [(document, outputs[task]) for document, outputs in zip(documents, found, strict=True)]


def labels_of(
    output: HeadOutput, spec: HeadSpec, words: int, among: Sequence[str]
) -> str | list[str]:
    """A head's answer as a data set has it: a label, or a tag per word.

    Args:
        output: the answer.
        spec: the head.
        words: number of words.
        among: the labels that the data set tells apart; for classification the best of these is
            taken, spans of others are left out, and tags of others are O where O is among them.
    """
    if isinstance(output, ClassificationOutput):
        allowed = [spec.labels.index(label) for label in among or spec.labels]
        return spec.labels[max(allowed, key=lambda index: output.scores[index])]
    if isinstance(output, TaggingOutput):
        unmarked = set(spec.labels).difference(among) if "O" in among else ()
        tags = [spec.labels[index] for index in output.tags]
        return ["O" if tag in unmarked else tag for tag in tags]
    return _span_tags(output, spec, words, among)


def _span_tags(output: SpansOutput, spec: HeadSpec, words: int, among: Sequence[str]) -> list[str]:
    tags = ["O"] * words
    for span in output.spans:
        label = spec.labels[span.label]
        if among and label not in among:
            continue
        tags[span.first] = f"B-{label}"
        for word in range(span.first + 1, span.end):
            tags[word] = f"I-{label}"
    return tags


def measure_source(
    model: Model,
    source: SourceConfig,
    split: str,
    examples: Sequence[Example],
    *,
    raw: bool = True,
    batch_tokens: int = BATCH_TOKENS,
) -> list[Measure]:
    """All figures of one source's head on its examples.

    Args:
        model: the model.
        source: the data set.
        split: name of the part.
        examples: the part.
        raw: also measure tagging from raw text, where the data set has it.
        batch_tokens: tokens to an encoder run.
    """
    spec = next(head for head in model.bundle.heads if head.name == source.head)

    def ask(texts: Sequence[Source]) -> list[tuple[Document, str | list[str]]]:
        return [
            (doc, labels_of(output, spec, len(doc.words), source.among))
            for doc, output in annotate(model, texts, source.head, batch_tokens=batch_tokens)
        ]

    def figure(metric: str, value: float, *, select: bool) -> Measure:
        return Measure(source.head, source.name, split, metric, value, len(examples), select)

    answers = [answer for _, answer in ask([source_of(example) for example in examples])]
    gold = [example.target for example in examples]
    own = score(source.metric, gold, answers, source.among)
    figures = [figure(source.metric, own, select=source.select)]
    whole = all(example.spans is not None and example.text for example in examples)
    if raw and whole and spec.kind == "tagging":
        figures += [figure(name, value, select=False) for name, value in _raw(ask, examples)]
    return figures


def _raw(
    ask: Callable[[Sequence[Source]], list[tuple[Document, str | list[str]]]],
    examples: Sequence[Example],
) -> list[tuple[str, float]]:
    answers = ask([example.text or "" for example in examples])
    gold_spans = [example.spans or () for example in examples]
    spans = [doc.words for doc, _ in answers]
    gold_tags = [example.target for example in examples]
    tags = [answer for _, answer in answers]
    return [
        ("tag_f1_from_raw", tag_f1_from_raw(gold_spans, gold_tags, spans, tags)),
        ("word_f1_from_raw", word_f1(gold_spans, spans)),
    ]
