"""What a head gives for the texts of a data set, as rows of logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polyhead_training.batches import output_ids, source_of
from polyhead_training.features import document_rows
from polyhead_training.objective import source_outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from polyhead_server.bundle import HeadSpec, Kind
    from polyhead_server.model import Model
    from polyhead_training.config import SourceConfig
    from polyhead_training.data import Example

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scored:
    """What a head gives for one part of a data set, at temperature 1."""

    source: str
    split: str
    kind: Kind
    logits: Floats
    """[R, O]: a row for each text, or for each word of all sentences."""
    gold: NDArray[np.intp]
    """Index of the right output, [R]."""
    ends: tuple[int, ...]
    """Row behind the last one of each text."""
    outcomes: Tensor | None = None
    """Which outcome each output counts for, [O]; see `objective.source_outcomes`."""
    labels: frozenset[int] | None = None
    """For spans, the labels that the source marks; None for all."""
    adjacent: float = 0.0
    """For spans, the cost of neighbours of one label."""


def score_part(
    model: Model,
    spec: HeadSpec,
    tensors: Mapping[str, Floats],
    source: SourceConfig,
    split: str,
    examples: Sequence[Example],
) -> Scored:
    """Run a head on part of a data set, with the model's encoder.

    Args:
        model: the served encoder.
        spec: the head.
        tensors: its matrices.
        source: the data set.
        split: name of the part.
        examples: the part, one at least.
    """
    documents = [model.tokenize(source_of(example)) for example in examples]
    rows = document_rows(model, documents, spec)
    return scored(spec, tensors, rows, source, split, [example.target for example in examples])


def scored(
    spec: HeadSpec,
    tensors: Mapping[str, Floats],
    rows: Sequence[Floats],
    source: SourceConfig,
    split: str,
    targets: Sequence[str | Sequence[str]],
) -> Scored:
    """Run a head on vectors.

    Args:
        spec: the head.
        tensors: its matrices.
        rows: what it reads of each text, [1 or W, H] each.
        source: the data set.
        split: name of the part.
        targets: a label, or a tag for each word, of each text.
    """
    known = set(source.among or spec.labels)
    return Scored(
        source.name,
        split,
        spec.kind,
        row_logits(tensors, np.concatenate(rows)),
        target_rows(spec, targets),
        tuple(np.cumsum([len(part) for part in rows]).tolist()),
        source_outcomes(spec, source),
        frozenset(n for n, label in enumerate(spec.labels) if label in known),
        float(tensors["adjacent"][0]) if "adjacent" in tensors else 0.0,
    )


def row_logits(tensors: Mapping[str, Floats], rows: Floats) -> Floats:
    """A head's logits at temperature 1, [R, H] to [R, O]."""
    if "hidden.weight" in tensors:
        rows = np.tanh(rows @ tensors["hidden.weight"].T + tensors["hidden.bias"])
    logits: Floats = rows @ tensors["out.weight"].T + tensors["out.bias"]
    return logits


def target_rows(spec: HeadSpec, targets: Sequence[str | Sequence[str]]) -> NDArray[np.intp]:
    """Index of the right output of every row: a text's label, or each word's tag."""
    ids = output_ids(spec)
    parts = [(target,) if isinstance(target, str) else target for target in targets]
    return np.array([ids[tag] for part in parts for tag in part], np.intp)
