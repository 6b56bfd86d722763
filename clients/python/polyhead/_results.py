"""What an annotated document holds, typed by kind of head and not by task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

if TYPE_CHECKING:
    from polyhead._errors import PolyheadError
    from polyhead._options import OffsetUnit

_DIGITS = 6  # of scores in to_dict: the wire carries 32-bit floats


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its probability, from 0 to 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """One label for the whole document.

    Attributes:
        label: The label with the highest score.
        score: Its probability, from 0 to 1.
        scores: The full distribution in the task's order of labels.
    """

    label: str
    score: float
    scores: tuple[LabelScore, ...]

    @property
    def distribution(self) -> dict[str, float]:
        """The scores by label."""
        return {entry.label: entry.score for entry in self.scores}

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON-ready values."""
        scores = {entry.label: round(entry.score, _DIGITS) for entry in self.scores}
        return {"label": self.label, "score": round(self.score, _DIGITS), "scores": scores}


@dataclass(frozen=True, slots=True)
class TaggedWord:
    """A word and its tag.

    Attributes:
        text: The word as it stands in the document.
        start: Offset of its first unit, in the response's offset unit.
        end: Offset behind its last unit.
        tag: The tag.
        score: The tag's probability, from 0 to 1.
    """

    text: str
    start: int
    end: int
    tag: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Give the word as JSON-ready values."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "tag": self.tag,
            "score": round(self.score, _DIGITS),
        }


@dataclass(frozen=True, slots=True)
class Tagging:
    """One tag for each word, in text order."""

    words: tuple[TaggedWord, ...]

    def __iter__(self) -> Iterator[TaggedWord]:
        return iter(self.words)

    def __len__(self) -> int:
        return len(self.words)

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON-ready values."""
        return {"words": [word.to_dict() for word in self.words]}


@dataclass(frozen=True, slots=True)
class Span:
    """A run of words with a label, such as a named entity.

    Attributes:
        text: The surface text, as it stands in the document.
        start: Offset of its first unit, in the response's offset unit.
        end: Offset behind its last unit.
        label: The label.
        score: The mean probability of its words having this label, from 0 to 1.
    """

    text: str
    start: int
    end: int
    label: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Give the span as JSON-ready values."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "label": self.label,
            "score": round(self.score, _DIGITS),
        }


@dataclass(frozen=True, slots=True)
class Spans:
    """The labelled spans in text order; they do not overlap."""

    spans: tuple[Span, ...]

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON-ready values."""
        return {"spans": [span.to_dict() for span in self.spans]}


TaskResult: TypeAlias = Classification | Tagging | Spans
"""The result of one task on one document."""

_Kind = TypeVar("_Kind", Classification, Tagging, Spans)


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one request went in the server, in seconds.

    Attributes:
        tokenize: Splitting into words and sub-words.
        queue: Waiting for the engine.
        encode: Encoder runs that held a part of the request.
        heads: Heads and decoding.
    """

    tokenize: float
    queue: float
    encode: float
    heads: float

    def to_dict(self) -> dict[str, float]:
        """Give the seconds by stage."""
        stages = ("tokenize", "queue", "encode", "heads")
        return {stage: round(getattr(self, stage), 9) for stage in stages}


@dataclass(frozen=True, slots=True)
class ResponseInfo:
    """What a response says about itself.

    Attributes:
        bundle_version: The version of the bundle that made every annotation in it.
        offset_unit: The unit of every offset in it.
        timings: Where the time went.
        request_id: The id under which the server logged the request.
    """

    bundle_version: str
    offset_unit: OffsetUnit
    timings: Timings
    request_id: str

    def to_dict(self) -> dict[str, Any]:
        """Give the facts as JSON-ready values."""
        return {
            "bundle_version": self.bundle_version,
            "offset_unit": str(self.offset_unit),
            "timings": self.timings.to_dict(),
            "request_id": self.request_id,
        }


@dataclass(frozen=True, slots=True)
class Annotation(Mapping[str, TaskResult]):
    """Everything that was asked for about one document: a mapping from task name to result.

    Equal when results, windows and tokens are; the response that carried it does not count.

    Attributes:
        results: The results by task name, in the order in which the tasks were asked for.
        windows: Encoder windows used. More than 1: the document was longer than the encoder's
            limit and was read in overlapping windows; nothing is cut.
        tokens: Encoder tokens (sub-words) in the document.
        info: What the response that carried it says about itself.
    """

    results: dict[str, TaskResult]
    windows: int
    tokens: int
    info: ResponseInfo = field(compare=False)

    def __getitem__(self, task: str) -> TaskResult:
        return self.results[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def classification(self, task: str) -> Classification:
        """Give the result of a classification task.

        Raises:
            KeyError: The task was not asked for.
            TypeError: The task is of another kind.
        """
        return self._of_kind(task, Classification)

    def tagging(self, task: str) -> Tagging:
        """Give the result of a tagging task; raises as `classification` does."""
        return self._of_kind(task, Tagging)

    def spans(self, task: str) -> Spans:
        """Give the result of a task that finds spans; raises as `classification` does."""
        return self._of_kind(task, Spans)

    def _of_kind(self, task: str, kind: type[_Kind]) -> _Kind:
        result = self.results[task]
        if not isinstance(result, kind):
            raise TypeError(f"task {task!r} gives {type(result).__name__}, not {kind.__name__}")
        return result

    def to_dict(self) -> dict[str, Any]:
        """Give the annotation, and what its response says, as JSON-ready values."""
        return {
            "results": {task: result.to_dict() for task, result in self.results.items()},
            "windows": self.windows,
            "tokens": self.tokens,
            **self.info.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Annotations(Sequence[Annotation]):
    """The annotations of one request, in the order of its documents.

    Attributes:
        annotations: One per document.
        info: What the response says about itself.
    """

    annotations: tuple[Annotation, ...]
    info: ResponseInfo = field(compare=False)

    @overload
    def __getitem__(self, index: int) -> Annotation: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Annotation, ...]: ...
    def __getitem__(self, index: int | slice) -> Annotation | tuple[Annotation, ...]:
        return self.annotations[index]

    def __len__(self) -> int:
        return len(self.annotations)

    def to_dict(self) -> dict[str, Any]:
        """Give the annotations as JSON-ready values."""
        return {
            "annotations": [annotation.to_dict() for annotation in self.annotations],
            **self.info.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of a stream: an annotation or an error, never both.

    Attributes:
        index: The item's place in the input, from 0.
        id: The caller's id, or the index as text where none was given.
        annotation: The annotation, or None.
        error: Why there is none, or None.
    """

    index: int
    id: str
    annotation: Annotation | None = None
    error: PolyheadError | None = None

    def unwrap(self) -> Annotation:
        """Give the annotation.

        Raises:
            PolyheadError: The item's error.
        """
        if self.error is not None:
            raise self.error
        if self.annotation is None:
            raise TypeError("an outcome holds an annotation or an error")
        return self.annotation
