"""Texts as an ordinary transformers pipeline reads them, and its answers beside polyhead's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from polyhead_training.batches import source_of
from polyhead_training.evaluation import annotate, labels_of
from polyhead_training.metrics import score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from polyhead_server.bundle import HeadSpec
    from polyhead_server.model import Model
    from polyhead_training.config import SourceConfig
    from polyhead_training.data import Example

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads raw text with a transformers tokenizer."""

    tokenizer: Any
    last_piece: bool = False
    """Whether a word's tag stands at its last sub-word."""

    def batch(self, texts: Sequence[str]) -> Any:
        """Sub-words of texts, padded, cut where the encoder's reading ends."""
        return self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")

    def place(self, encoded: Any, row: int, span: tuple[int, int]) -> int | None:
        """Index of the sub-word that stands for a word; None where there is none."""
        char = span[1] - 1 if self.last_piece else span[0]
        found: int | None = encoded.char_to_token(row, char)
        return found


@dataclass(frozen=True, slots=True)
class Agreement:
    """How an exported model does on texts that it has not learned from."""

    source: str
    texts: int
    same: float
    """Fraction of texts with the same label, or of words with the same tag."""
    pieces: float
    """Fraction of texts that are cut into the same sub-words."""
    metric: str
    ours: float
    """Polyhead's figure in torch, from 0 to 1."""
    theirs: float
    """The exported model's, on raw text."""


def raw_text(example: Example) -> str:
    """The text, or the words joined by blanks."""
    return example.text if example.text is not None else " ".join(example.words or ())


def word_spans(example: Example) -> list[tuple[int, int]]:
    """Where the words of an example stand in its raw text."""
    if example.text is not None and example.spans is not None:
        return list(example.spans)
    spans = []
    start = 0
    for word in example.words or ():
        spans.append((start, start + len(word)))
        start += len(word) + 1
    return spans


@torch.inference_mode()
def answers(
    model: Any,
    reader: Reader,
    examples: Sequence[Example],
    labels: Sequence[str],
    among: Sequence[str] = (),
) -> list[str | list[str]]:
    """What an exported model says: a label for a text, or a tag for each of an example's words.

    Args:
        model: of a standard class.
        reader: with its tokenizer.
        examples: the texts; those with a tuple as target have a tag for each word.
        labels: what the model's outputs stand for, in order.
        among: the labels of which the best is taken for a text; empty for all.
    """
    found: list[str | list[str]] = []
    for start in range(0, len(examples), _BATCH):
        part = examples[start : start + _BATCH]
        encoded = reader.batch([raw_text(example) for example in part])
        inputs = {name: value.to(model.device) for name, value in encoded.items()}
        logits = model(**inputs).logits.cpu()
        for row, example in enumerate(part):
            found.append(_answer(logits[row], reader, encoded, row, example, labels, among))
    return found


def _answer(
    logits: Tensor,
    reader: Reader,
    encoded: Any,
    row: int,
    example: Example,
    labels: Sequence[str],
    among: Sequence[str],
) -> str | list[str]:
    if isinstance(example.target, str):
        allowed = [index for index, label in enumerate(labels) if label in (among or labels)]
        return labels[max(allowed, key=lambda index: float(logits[index]))]
    best = logits.argmax(dim=-1)
    places = [reader.place(encoded, row, span) for span in word_spans(example)]
    blank = "O" if "O" in labels else labels[0]
    return [blank if place is None else labels[int(best[place])] for place in places]


def compare(
    model: Any,
    reader: Reader,
    reference: Model,
    source: SourceConfig,
    examples: Sequence[Example],
) -> Agreement:
    """Compare an exported model, on raw text, with polyhead in torch.

    Args:
        model: of a standard class.
        reader: with its tokenizer.
        reference: the trained network as a model.
        source: the data set.
        examples: its texts.
    """
    spec = next(head for head in reference.bundle.heads if head.name == source.head)
    labels = [model.config.id2label[index] for index in range(model.config.num_labels)]
    shown = _as_in_source(labels, spec, source.among)
    theirs = answers(model, reader, examples, shown, source.among)
    pairs = annotate(reference, [source_of(example) for example in examples], source.head)
    ours = [labels_of(output, spec, len(doc.words), source.among) for doc, output in pairs]
    same = [
        one == two
        for left, right in zip(ours, theirs, strict=True)
        for one, two in _rows(left, right)
    ]
    gold = [example.target for example in examples]
    return Agreement(
        source.name,
        len(examples),
        sum(same) / max(1, len(same)),
        _same_pieces(reader, reference, examples),
        source.metric,
        score(source.metric, gold, ours, source.among),
        score(source.metric, gold, theirs, source.among),
    )


def _as_in_source(labels: Sequence[str], spec: HeadSpec, among: Sequence[str]) -> list[str]:
    """A model's tags as `labels_of` has them: those that the data set does not mark are O."""
    if spec.kind == "spans" and among:
        return [tag if tag[2:] in among else "O" for tag in labels]
    if spec.kind == "tagging" and "O" in among:
        return [tag if tag in among else "O" for tag in labels]
    return list(labels)


def _rows(ours: str | list[str], theirs: str | list[str]) -> list[tuple[str, str]]:
    if isinstance(ours, str) or isinstance(theirs, str):
        return [(str(ours), str(theirs))]
    return list(zip(ours, theirs, strict=True))


def _same_pieces(reader: Reader, reference: Model, examples: Sequence[Example]) -> float:
    texts = [raw_text(example) for example in examples]
    theirs = [reader.tokenizer(text, truncation=True)["input_ids"] for text in texts]
    ours = [reference.tokenize(text).windows[0].ids.tolist() for text in texts]
    same = sum(int(one == two) for one, two in zip(ours, theirs, strict=True))
    return same / max(1, len(texts))
