"""An annotated document, and what its response says about itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, overload

from polyhead._results import Classification, Spans, Tagging, TaskResult

if TYPE_CHECKING:
    from polyhead._errors import PolyheadError
    from polyhead._options import OffsetUnit

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
