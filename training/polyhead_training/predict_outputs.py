"""What annotation writes: rows with predictions, columns, or training data for a student."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from polyhead_server.heads import ClassificationOutput, SpansOutput, TaggingOutput
from polyhead_training.evaluation import labels_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polyhead_server.bundle import HeadSpec
    from polyhead_server.heads import HeadOutput
    from polyhead_training.predict_engine import Predicted, Predictor
    from polyhead_training.predict_rows import Row

OutputFormat = Literal["jsonl", "conll"]
OUTPUT_FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)

_DIGITS = 6
_PREDICTIONS = "predictions"


class Writer(Protocol):
    """Turns an annotated record into text."""

    def __call__(self, row: Row, predicted: Predicted) -> str:
        """What to write, with its line ends; empty for nothing."""


@dataclass(frozen=True, slots=True)
class JsonRows:
    """A JSON object a line: the fields of the input, and the predictions by task.

    Args:
        specs: heads by task.
    """

    specs: Mapping[str, HeadSpec]

    def __call__(self, row: Row, predicted: Predicted) -> str:
        """The row as one line; predictions that it has of other tasks stay."""
        predictions = dict(row.fields.get(_PREDICTIONS) or {})
        for task, output in predicted.outputs.items():
            predictions[task] = _result(row, predicted, self.specs[task], output)
        return _json_line({**row.fields, _PREDICTIONS: predictions})

    @staticmethod
    def problem(row: Row) -> str:
        """Why a row cannot be written again without a loss; empty where it can."""
        given = row.fields.get(_PREDICTIONS)
        if given is None or isinstance(given, dict):
            return ""
        return f'field "{_PREDICTIONS}" must be an object, to which those of more tasks are added'


@dataclass(frozen=True, slots=True)
class WordColumns:
    """A word a line with a tag for each task, TABs between, a blank line behind each text.

    Args:
        specs: heads by task, none of them for classification.
    """

    specs: Mapping[str, HeadSpec]

    def __call__(self, row: Row, predicted: Predicted) -> str:
        """The words of one text."""
        words = words_of(row, predicted)
        tags = [
            labels_of(output, self.specs[task], len(words), ())
            for task, output in predicted.outputs.items()
        ]
        return _columns(words, *tags)


class PseudoLabels:
    """The answers of one head as training data, where the head is certain of them.

    Args:
        predictor: the teacher.
        task: its head.
        least: probability that the label, or the tag of every word, must have.
        form: columns or JSON rows.
    """

    def __init__(self, predictor: Predictor, task: str, least: float, form: OutputFormat) -> None:
        self._predictor = predictor
        self._task = task
        self._spec = predictor.specs[task]
        self._least = least
        self._form = form
        self.kept = 0
        """Texts written."""
        self.labels: Counter[str] = Counter()
        """How often each label was written, or each tag that begins or is a label."""

    def __call__(self, row: Row, predicted: Predicted) -> str:
        """The text with its answers, or nothing where they are uncertain."""
        output = predicted.outputs[self._task]
        if isinstance(output, ClassificationOutput):
            score = float(output.scores[output.index])
        else:
            score = self._predictor.least_certain_word(predicted, self._task)
        if score < self._least:
            return ""
        words = words_of(row, predicted)
        answer = labels_of(output, self._spec, len(words), ())
        self.kept += 1
        self._count(answer)
        if self._form == "conll":
            return _columns(words, answer)
        return _json_line({**self._example(row, words, answer), "score": round(score, _DIGITS)})

    def _count(self, answer: str | Sequence[str]) -> None:
        tags = [answer] if isinstance(answer, str) else answer
        if self._spec.kind == "spans":
            tags = [tag[2:] for tag in tags if tag.startswith("B-")]
        self.labels.update(tags)

    def _example(self, row: Row, words: list[str], answer: str | list[str]) -> dict[str, Any]:
        text = row.source if isinstance(row.source, str) else row.fields["text"]
        if isinstance(answer, str):
            given = {} if isinstance(row.source, str) else {"words": words}
            return {"text": text, **given, "label": answer}
        return {"text": text, "words": words, "tags": answer}


def words_of(row: Row, predicted: Predicted) -> list[str]:
    """The words that were annotated."""
    if not isinstance(row.source, str):
        return list(row.source)
    document = predicted.document
    return [document.text[start:end] for start, end in document.words]


def _result(row: Row, predicted: Predicted, spec: HeadSpec, output: HeadOutput) -> dict[str, Any]:
    match output:
        case ClassificationOutput():
            scores = dict(zip(spec.labels, map(_rounded, output.scores), strict=True))
            label = spec.labels[output.index]
            return {"label": label, "score": scores[label], "scores": scores}
        case TaggingOutput():
            tags = [spec.labels[tag] for tag in output.tags]
            scored = list(map(_rounded, output.scores))
            return {"words": words_of(row, predicted), "tags": tags, "scores": scored}
        case SpansOutput():
            return {"spans": _spans(row, predicted, spec, output)}


def _spans(
    row: Row, predicted: Predicted, spec: HeadSpec, output: SpansOutput
) -> list[dict[str, Any]]:
    document = predicted.document
    text = document.text if row.text is None else row.text
    places = document.words if row.places is None else row.places
    found = []
    for span in output.spans:
        start, end = places[span.first][0], places[span.end - 1][1]
        shown = {"start": start, "end": end, "label": spec.labels[span.label]}
        found.append({**shown, "score": _rounded(span.score), "text": text[start:end]})
    return found


def _columns(words: Sequence[str], *tags: Sequence[str]) -> str:
    clean = [" ".join(word.split()) for word in words]
    rows = zip(clean, *tags, strict=True)
    return "".join("\t".join(row) + "\n" for row in rows) + "\n"


def _json_line(value: Mapping[str, Any]) -> str:
    line = json.dumps(value, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # half a surrogate pair in a field that was only passed through
        line = json.dumps(value)
    return line + "\n"


def _rounded(score: Any) -> float:
    return round(float(score), _DIGITS)
