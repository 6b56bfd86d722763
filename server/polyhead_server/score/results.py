"""What a bundle found in a row, as nested values, and their Arrow types.

A type depends on the kind of the head alone, never on the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyhead_server.heads import ClassificationOutput, TaggingOutput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from polyhead_server.bundle import HeadSpec, Kind
    from polyhead_server.encoding import Document
    from polyhead_server.heads import HeadOutput

_DIGITS = 6


def row_results(
    document: Document, outputs: Mapping[str, HeadOutput], specs: Iterable[HeadSpec]
) -> dict[str, Any]:
    """The results of a row by task. Offsets are code points; words count as joined by one space."""
    return {spec.name: _result(document, outputs[spec.name], spec) for spec in specs}


def arrow_type(specs: Iterable[HeadSpec]) -> Any:
    """The Arrow type of the results of a row: a struct with a field for each task."""
    import pyarrow as pa  # noqa: PLC0415 - not needed for lines

    return pa.struct([pa.field(spec.name, _kind_type(spec.kind)) for spec in specs])


def _kind_type(kind: Kind) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    text, score = pa.string(), pa.float64()
    if kind == "classification":
        scores = pa.list_(pa.struct([("label", text), ("score", score)]))
        return pa.struct([("label", text), ("score", score), ("scores", scores)])
    place = [("text", text), ("start", pa.int64()), ("end", pa.int64())]
    if kind == "tagging":
        words = pa.list_(pa.struct([*place, ("tag", text), ("score", score)]))
        return pa.struct([("words", words)])
    return pa.struct([("spans", pa.list_(pa.struct([*place, ("label", text), ("score", score)])))])


def _result(document: Document, output: HeadOutput, spec: HeadSpec) -> dict[str, Any]:
    if isinstance(output, ClassificationOutput):
        scores = [
            {"label": label, "score": _rounded(score)}
            for label, score in zip(spec.labels, output.scores, strict=True)
        ]
        return {**scores[output.index], "scores": scores}
    if isinstance(output, TaggingOutput):
        found = zip(document.words, output.tags, output.scores, strict=True)
        return {
            "words": [
                {**_run(document, *word), "tag": spec.labels[tag], "score": _rounded(score)}
                for word, tag, score in found
            ]
        }
    return {
        "spans": [
            {
                **_run(document, document.words[span.first][0], document.words[span.end - 1][1]),
                "label": spec.labels[span.label],
                "score": _rounded(span.score),
            }
            for span in output.spans
        ]
    }


def _run(document: Document, start: int, end: int) -> dict[str, Any]:
    return {"text": document.text[start:end], "start": start, "end": end}


def _rounded(score: Any) -> float:
    return round(float(score), _DIGITS)
