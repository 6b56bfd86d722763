"""From requests to answers, without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, TypeAlias

from polyhead._bundle import Bundle, HeadKind, Limits, Task
from polyhead._convert import KIND_TO_WIRE
from polyhead._documents import size
from polyhead._errors import Violation
from polyhead.testing._heads import Head, split_words
from polyhead.v1 import annotation_service_pb2 as service_pb2
from polyhead.v1 import document_pb2, result_pb2, task_pb2

WINDOW_WORDS = 128
SCORE = 0.875  # of every tag and span; exact in 32 bits
LIMITS = Limits(max_documents=256, max_text_chars=1_000_000, max_request_chars=4_000_000)

Word: TypeAlias = tuple[str, int, int]
Scale: TypeAlias = Callable[[int], int]


class Rejection(Exception):  # noqa: N818 - what a service does, not what goes wrong in it
    """A request or an item that gets a status instead of an answer."""

    def __init__(
        self,
        code: str,
        message: str,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.violations = tuple(violations)
        self.retry_after = retry_after


def invalid(field: str, description: str) -> Rejection:
    """Refuse a field."""
    message = f"{field}: {description}"
    return Rejection("INVALID_ARGUMENT", message, (Violation(field, description),))


@dataclass(frozen=True, slots=True)
class Answerer:
    """Answers by the rules of its heads."""

    heads: tuple[Head, ...]
    limits: Limits
    name: str
    version: str

    def bundle(self) -> Bundle:
        """Describe what is served."""
        tasks = tuple(Task(h.name, h.kind, h.labels, h.figures) for h in self.heads)
        return Bundle(self.name, self.version, tasks, self.limits)

    def list_tasks(self, request: service_pb2.ListTasksRequest) -> service_pb2.ListTasksResponse:
        """Answer ListTasks for the version that it names."""
        self.check_version(request.bundle_version)
        return service_pb2.ListTasksResponse(
            tasks=[_wire_task(head) for head in self.heads],
            bundle_name=self.name,
            bundle_version=self.version,
            limits=service_pb2_limits(self.limits),
        )

    def check_version(self, version: str) -> None:
        """Refuse a version of the bundle that is not this one."""
        if version not in ("", self.version):
            known = f"bundle version {version!r} is not loaded; there are {self.version!r}"
            raise Rejection("NOT_FOUND", known)

    def asked(
        self, request: service_pb2.AnnotateRequest | service_pb2.AnnotateStreamRequest
    ) -> tuple[list[Head], document_pb2.OffsetUnit.ValueType]:
        """Give the heads and the unit that a request asks for, after a look at its other fields."""
        heads, unit = self.pick(request.tasks), known_unit(request.offset_unit)
        check_priority(request.priority)
        self.check_version(request.bundle_version)
        return heads, unit

    def pick(self, names: Sequence[str]) -> list[Head]:
        """Give the heads asked for."""
        if not names:
            raise invalid("tasks", "must name at least one task")
        if list(names) == ["*"]:
            return list(self.heads)
        known = {head.name: head for head in self.heads}
        for index, name in enumerate(names):
            if name not in known:
                raise invalid(f"tasks[{index}]", f"no such task: {name!r}")
            if name in names[:index]:
                raise invalid(f"tasks[{index}]", f"named twice: {name!r}")
        return [known[name] for name in names]

    def check_size(self, documents: Sequence[document_pb2.Document], field: str) -> None:
        """Hold a request to the limits on its documents together."""
        limits = self.limits
        if not documents:
            raise invalid(field, "must hold at least one")
        if len(documents) > limits.max_documents:
            raise invalid(field, f"must hold at most {limits.max_documents}")
        if sum(map(size, documents)) > limits.max_request_chars:
            raise invalid(field, f"must be at most {limits.max_request_chars} code points together")

    def annotate(
        self,
        document: document_pb2.Document,
        heads: Sequence[Head],
        unit: document_pb2.OffsetUnit.ValueType,
        field: str,
    ) -> result_pb2.DocumentAnnotation:
        """Annotate one document."""
        text, words = self._read(document, field)
        scale = _scale(text, unit)
        return result_pb2.DocumentAnnotation(
            results=[_apply(head, text, words, scale) for head in heads],
            windows=-(-len(words) // WINDOW_WORDS),
            tokens=len(words),
        )

    def _read(self, document: document_pb2.Document, field: str) -> tuple[str, list[Word]]:
        source = document.WhichOneof("source")
        if source is None:
            raise invalid(f"{field}.source", "text or words must be given")
        if source == "text":
            text = document.text
            words = split_words(text)
            field = f"{field}.text"
        else:
            field = f"{field}.words.words"
            text, words = _join(document.words.words, field)
        if len(text) > self.limits.max_text_chars:
            raise invalid(field, f"must be at most {self.limits.max_text_chars} code points")
        if not words:
            raise invalid(field, "must hold at least one word")
        return text, words


def service_pb2_limits(limits: Limits) -> task_pb2.Limits:
    """Give limits their wire form."""
    return task_pb2.Limits(
        max_documents=limits.max_documents,
        max_text_chars=limits.max_text_chars,
        max_request_chars=limits.max_request_chars,
    )


def timings() -> service_pb2.Timings:
    """Give the same timings every time."""
    return service_pb2.Timings(
        tokenize_seconds=0.0001, queue_seconds=0.0002, encode_seconds=0.003, heads_seconds=0.0004
    )


def known_unit(
    unit: document_pb2.OffsetUnit.ValueType,
) -> document_pb2.OffsetUnit.ValueType:
    """Give the unit to count in; code points where none is given."""
    if unit not in document_pb2.OffsetUnit.values():
        raise invalid("offset_unit", f"no such unit: {unit}")
    return unit or document_pb2.OFFSET_UNIT_CODE_POINT


def check_priority(priority: service_pb2.Priority.ValueType) -> None:
    """Refuse a priority that is none."""
    if priority not in service_pb2.Priority.values():
        raise invalid("priority", f"no such priority: {priority}")


def _join(words: Sequence[str], field: str) -> tuple[str, list[Word]]:
    for index, word in enumerate(words):
        if not word.strip():
            raise invalid(f"{field}[{index}]", "must hold a visible character")
    starts = accumulate((len(word) + 1 for word in words), initial=0)
    placed = [(word, at, at + len(word)) for word, at in zip(words, starts, strict=False)]
    return " ".join(words), placed


def _scale(text: str, unit: document_pb2.OffsetUnit.ValueType) -> Scale:
    """Give the function from code points to the unit."""
    if unit == document_pb2.OFFSET_UNIT_CODE_POINT:
        return lambda at: at
    coding, size = ("utf-8", 1) if unit == document_pb2.OFFSET_UNIT_UTF8_BYTE else ("utf-16-le", 2)
    widths = (len(character.encode(coding)) // size for character in text)
    offsets = list(chain([0], accumulate(widths)))
    return offsets.__getitem__


def _apply(head: Head, text: str, words: Sequence[Word], scale: Scale) -> result_pb2.TaskResult:
    given: Any = head.rule([word for word, _, _ in words])
    result = result_pb2.TaskResult(task=head.name)
    if head.kind is HeadKind.CLASSIFICATION:
        result.classification.CopyFrom(_classification(head, given))
    elif head.kind is HeadKind.TAGGING:
        result.tagging.SetInParent()
        for (word, start, end), tag in zip(words, given, strict=True):
            result.tagging.words.add(
                text=word, start=scale(start), end=scale(end), tag=tag, score=SCORE
            )
    else:
        result.spans.SetInParent()
        for first, behind, label in given:
            start, end = words[first][1], words[behind - 1][2]
            result.spans.spans.add(
                text=text[start:end], start=scale(start), end=scale(end), label=label, score=SCORE
            )
    return result


def _classification(head: Head, weights: Mapping[str, float]) -> result_pb2.Classification:
    total = sum(weights.values())
    shares = {label: weights.get(label, 0.0) / total for label in head.labels}
    best = max(shares, key=lambda label: shares[label])
    scores = [result_pb2.LabelScore(label=label, score=share) for label, share in shares.items()]
    return result_pb2.Classification(label=best, score=shares[best], scores=scores)


def _wire_task(head: Head) -> task_pb2.Task:
    figures = [
        task_pb2.Figure(data_set=f.data_set, split=f.split, metric=f.metric, value=f.value)
        for f in head.figures
    ]
    kind = KIND_TO_WIRE[head.kind]
    return task_pb2.Task(name=head.name, kind=kind, labels=head.labels, figures=figures)
