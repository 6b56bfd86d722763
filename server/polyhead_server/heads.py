"""Task heads in numpy: document features in, labels, tags and spans out.

A head is data: one or two matrices. It is run on all documents of a batch at once, and what is left
to do for each of them is to cut out its own results.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from polyhead_server.errors import BundleError
from polyhead_server.features import FeatureBatch, side_by_side
from polyhead_server.spans import SpanOutput, find_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from polyhead_server.bundle import HeadSpec, Pooling
    from polyhead_server.features import Features

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClassificationOutput:
    """One label for a document."""

    index: int
    """The best label."""
    scores: FloatArray
    """Probability of each label, [L]."""


@dataclass(frozen=True, slots=True)
class TaggingOutput:
    """One tag for each word."""

    tags: NDArray[np.intp]
    """Index of each word's best tag, [W]."""
    scores: FloatArray
    """Its probability, [W]."""


@dataclass(frozen=True, slots=True)
class SpansOutput:
    """Labelled runs of words, in order."""

    spans: tuple[SpanOutput, ...]


_NO_SPANS = SpansOutput(())

HeadOutput = ClassificationOutput | TaggingOutput | SpansOutput


class Head:
    """One task head.

    Args:
        spec: name, kind and labels.
        tensors: ``out.weight`` [O, D] and ``out.bias`` [O]; for a head with a hidden layer also
            ``hidden.weight`` [D, H] and ``hidden.bias`` [D], with tanh between; optionally
            ``temperature`` [1], which divides the logits, and for spans ``adjacent`` [1], the cost
            of a span right behind another of its label (see ``best_path``).
        width: size of the encoder's vectors, H.

    Raises:
        BundleError: the matrices do not fit the encoder, each other or the labels.
    """

    def __init__(self, spec: HeadSpec, tensors: Mapping[str, FloatArray], width: int) -> None:
        self.spec = spec
        self._layers = _layers(spec, tensors, width)
        self._pool = POOLS[spec.pooling]
        self._adjacent = _number(spec, tensors, "adjacent", 0.0)

    def __call__(self, documents: Sequence[Features] | FeatureBatch) -> list[HeadOutput]:
        """Run the head on several documents at once."""
        batch = documents if isinstance(documents, FeatureBatch) else side_by_side(documents)
        if self.spec.kind == "classification":
            return _classifications(self._probabilities(self._pool(batch)))
        if self.spec.kind == "tagging":
            return _taggings(self._logits(batch.words), batch.bounds)
        found = find_spans(self._probabilities(batch.words), batch.bounds, self._adjacent)
        return [SpansOutput(spans) if spans else _NO_SPANS for spans in found]

    def _probabilities(self, rows: FloatArray) -> FloatArray:
        return _softmax(self._logits(rows))

    def _logits(self, rows: FloatArray) -> FloatArray:
        for number, (weight, bias) in enumerate(self._layers):
            rows = (np.tanh(rows) if number else rows) @ weight + bias
        return rows


def load_head(bundle: Path, spec: HeadSpec, width: int) -> Head:
    """Load a head from a bundle.

    Raises:
        BundleError: the file cannot be read, or does not fit.
    """
    try:
        tensors = load_file(bundle / spec.file)
    except (OSError, SafetensorError, TypeError, KeyError):  # the last two: types unknown to numpy
        raise BundleError(f"{spec.file} is not a safetensors file of numbers") from None
    return Head(spec, tensors, width)


def _layers(
    spec: HeadSpec, tensors: Mapping[str, FloatArray], width: int
) -> list[tuple[FloatArray, FloatArray]]:
    """Matrices in the order of use, each transposed to [in, out]; temperature folded in."""
    layers = []
    for name in ("hidden", "out"):
        if f"{name}.weight" not in tensors and name == "hidden":
            continue
        weight, bias = _layer(spec, tensors, name, width)
        layers.append((weight, bias))
        width = len(bias)
    if width != spec.outputs:
        raise BundleError(
            f"head {spec.name}: {width} outputs do not fit {len(spec.labels)} labels "
            f"of kind {spec.kind}, which take {spec.outputs}"
        )
    heat = np.float32(_number(spec, tensors, "temperature", 1.0))
    if heat == 0:
        raise BundleError(f"head {spec.name}: temperature must be above 0")
    weight, bias = layers[-1]
    return [*layers[:-1], (weight / heat, bias / heat)]


def _number(spec: HeadSpec, tensors: Mapping[str, FloatArray], name: str, default: float) -> float:
    """An optional tensor of one number that is not negative."""
    value = tensors.get(name, np.full(1, default, np.float32))
    if value.shape != (1,) or not 0 <= value[0] < np.inf:
        raise BundleError(f"head {spec.name}: {name} must be one number of at least 0")
    return float(value[0])


def _layer(
    spec: HeadSpec, tensors: Mapping[str, FloatArray], name: str, width: int
) -> tuple[FloatArray, FloatArray]:
    weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
    fits = (
        weight is not None
        and bias is not None
        and weight.ndim == 2  # noqa: PLR2004 - a matrix
        and weight.shape[1] == width
        and bias.shape == weight.shape[:1]
    )
    if weight is None or bias is None or not fits:
        raise BundleError(f"head {spec.name}: {name} does not take {width} values")
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise BundleError(f"head {spec.name}: {name} holds values that are not finite")
    return np.ascontiguousarray(weight.T, np.float32), bias.astype(np.float32)


def _mean(documents: Features | FeatureBatch) -> FloatArray:
    mean: FloatArray = documents.total / np.float32(documents.count)
    return mean


def _first(documents: Features | FeatureBatch) -> FloatArray:
    return documents.mark


def _max(documents: Features | FeatureBatch) -> FloatArray:
    return documents.largest


def _last(documents: Features | FeatureBatch) -> FloatArray:
    return documents.last


POOLS: dict[Pooling, Callable[[Features | FeatureBatch], FloatArray]] = {
    "mean": _mean,
    "first": _first,
    "max": _max,
    "last": _last,
}
"""How a document's vectors become the one that a classification head reads, [H] or [B, H]."""


def _softmax(logits: FloatArray) -> FloatArray:
    scores: FloatArray = np.exp(logits - _peaks(logits, logits.argmax(axis=1)))
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def _peaks(logits: FloatArray, best: NDArray[np.intp]) -> FloatArray:
    """The largest of each row, [N, 1]: numpy's ``max`` along short rows takes far longer."""
    peaks: FloatArray = logits[np.arange(len(best)), best]
    return peaks[:, None]


def _classifications(scores: FloatArray) -> list[HeadOutput]:
    best = scores.argmax(axis=1).tolist()
    return [ClassificationOutput(i, row) for i, row in zip(best, scores, strict=True)]


def _taggings(logits: FloatArray, bounds: Sequence[int]) -> list[HeadOutput]:
    best = logits.argmax(axis=1)
    # Softmax at the best tag, whose own term of the sum is 1.
    top = np.float32(1) / np.exp(logits - _peaks(logits, best)).sum(axis=1)
    return [TaggingOutput(best[start:end], top[start:end]) for start, end in pairwise(bounds)]
