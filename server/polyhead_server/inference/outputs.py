"""What each kind of head gives out as tensors: a row per text, lists of words or spans as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polyhead_server.offsets import in_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from polyhead_server.annotator import Annotation
    from polyhead_server.bundle import HeadSpec, Kind
    from polyhead_server.heads import FloatArray
    from polyhead_server.inference.tensors import Datatype, Values
    from polyhead_server.offsets import Unit

_DIGITS = 6
"""Digits of scores in JSON; FP32 has no more."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Annotated texts."""

    annotations: Sequence[Annotation]
    unit: Unit

    def outputs(self, head: HeadSpec) -> list[Any]:
        """Output of the head for each text."""
        return [annotation.outputs[head.name] for annotation in self.annotations]

    def rows(self, head: HeadSpec) -> Iterator[tuple[Any, str, Sequence[tuple[int, int]], Any]]:
        """For each text: output of the head, text, words in code points, words in the unit."""
        for annotation in self.annotations:
            document = annotation.document
            words = in_unit(document.text, self.unit, document.words)
            yield annotation.outputs[head.name], document.text, document.words, words


@dataclass(frozen=True, slots=True)
class Part:
    """One output of a kind of head."""

    datatype: Datatype
    fill: Callable[[Batch, HeadSpec], Values]
    wide: bool = False
    """One column per label."""


def best_classes(scores: FloatArray, labels: Sequence[str], most: int) -> list[bytes]:
    """The best classes of each row of scores as "score:index:label", best first.

    Args:
        scores: [N, L].
        labels: the L labels.
        most: classes per row.

    Returns:
        N times `most` elements.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :most]
    return [
        f"{row[index]:f}:{index}:{labels[index]}".encode()
        for row, indices in zip(scores.tolist(), order.tolist(), strict=True)
        for index in indices
    ]


def _label(batch: Batch, head: HeadSpec) -> Values:
    return [head.labels[output.index].encode() for output in batch.outputs(head)]


def _score(batch: Batch, head: HeadSpec) -> Values:
    return np.array([output.scores[output.index] for output in batch.outputs(head)], np.float32)


def _scores(batch: Batch, head: HeadSpec) -> Values:
    return np.stack([output.scores for output in batch.outputs(head)]).astype(np.float32)


def _tags(batch: Batch, head: HeadSpec) -> Values:
    return [
        _json([head.labels[tag] for tag in output.tags.tolist()]) for output in batch.outputs(head)
    ]


def _word_counts(batch: Batch, head: HeadSpec) -> Values:
    return np.array([len(output.tags) for output in batch.outputs(head)], np.int32)


def _words(batch: Batch, head: HeadSpec) -> Values:
    return [
        _json(
            [
                _entry(text[first:last], (start, end), "tag", head.labels[tag], score)
                for (first, last), (start, end), tag, score in zip(
                    points, words, output.tags.tolist(), output.scores.tolist(), strict=True
                )
            ]
        )
        for output, text, points, words in batch.rows(head)
    ]


def _spans(batch: Batch, head: HeadSpec) -> Values:
    return [
        _json(
            [
                _entry(
                    text[points[span.first][0] : points[span.end - 1][1]],
                    (words[span.first][0], words[span.end - 1][1]),
                    "label",
                    head.labels[span.label],
                    span.score,
                )
                for span in output.spans
            ]
        )
        for output, text, points, words in batch.rows(head)
    ]


def _span_counts(batch: Batch, head: HeadSpec) -> Values:
    return np.array([len(output.spans) for output in batch.outputs(head)], np.int32)


def _entry(
    text: str, place: tuple[int, int], label_name: str, label: str, score: float
) -> dict[str, object]:
    return {
        "text": text,
        "start": place[0],
        "end": place[1],
        label_name: label,
        "score": round(score, _DIGITS),
    }


def _json(content: object) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


PARTS: Mapping[Kind, Mapping[str, Part]] = {
    "classification": {
        "label": Part("BYTES", _label),
        "score": Part("FP32", _score),
        "scores": Part("FP32", _scores, wide=True),
    },
    "tagging": {
        "words": Part("BYTES", _words),
        "tags": Part("BYTES", _tags),
        "counts": Part("INT32", _word_counts),
    },
    "spans": {
        "spans": Part("BYTES", _spans),
        "counts": Part("INT32", _span_counts),
    },
}
"""The outputs of each kind of head, by name, in order."""
