"""Wire messages to results. Typed by kind, so that a new head needs nothing here."""

from __future__ import annotations

from polyhead._annotation import Annotation, Annotations, ResponseInfo, Timings
from polyhead._bundle import Bundle, Figure, HeadKind, Limits, Task
from polyhead._errors import InternalError
from polyhead._options import OffsetUnit, Priority
from polyhead._results import (
    Classification,
    LabelScore,
    Span,
    Spans,
    TaggedWord,
    Tagging,
    TaskResult,
)
from polyhead.v1 import annotation_service_pb2 as service_pb2
from polyhead.v1 import document_pb2, result_pb2, task_pb2

UNIT_TO_WIRE = {
    OffsetUnit.CODE_POINT: document_pb2.OFFSET_UNIT_CODE_POINT,
    OffsetUnit.UTF8_BYTE: document_pb2.OFFSET_UNIT_UTF8_BYTE,
    OffsetUnit.UTF16: document_pb2.OFFSET_UNIT_UTF16,
}
PRIORITY_TO_WIRE = {
    None: service_pb2.PRIORITY_UNSPECIFIED,
    Priority.INTERACTIVE: service_pb2.PRIORITY_INTERACTIVE,
    Priority.BULK: service_pb2.PRIORITY_BULK,
}
_UNIT_OF_WIRE = {wire: unit for unit, wire in UNIT_TO_WIRE.items()}

KIND_TO_WIRE = {
    HeadKind.CLASSIFICATION: task_pb2.HEAD_KIND_CLASSIFICATION,
    HeadKind.TAGGING: task_pb2.HEAD_KIND_TAGGING,
    HeadKind.SPANS: task_pb2.HEAD_KIND_SPANS,
}
_KIND_OF_WIRE = {wire: kind for kind, wire in KIND_TO_WIRE.items()}


def read_annotations(message: service_pb2.AnnotateResponse, request_id: str) -> Annotations:
    """Convert the answer to one request.

    Raises:
        InternalError: It holds what this client cannot read.
    """
    info = read_info(message, request_id)
    annotations = tuple(read_annotation(entry, info) for entry in message.annotations)
    return Annotations(annotations, info)


def read_info(
    message: service_pb2.AnnotateResponse | service_pb2.AnnotateStreamResponse, request_id: str
) -> ResponseInfo:
    """Convert what a response says about itself; raises as `read_annotations` does."""
    unit = _UNIT_OF_WIRE.get(message.offset_unit)
    if unit is None:
        raise _unreadable(f"offset unit {message.offset_unit}", request_id)
    spent = message.timings
    timings = Timings(
        spent.tokenize_seconds, spent.queue_seconds, spent.encode_seconds, spent.heads_seconds
    )
    return ResponseInfo(message.bundle_version, unit, timings, request_id)


def read_annotation(entry: result_pb2.DocumentAnnotation, info: ResponseInfo) -> Annotation:
    """Convert one document's results; raises as `read_annotations` does."""
    results = {result.task: _read_result(result, info) for result in entry.results}
    return Annotation(results, entry.windows, entry.tokens, info)


def _read_result(result: result_pb2.TaskResult, info: ResponseInfo) -> TaskResult:
    match result.WhichOneof("result"):
        case "classification":
            return _read_classification(result.classification)
        case "tagging":
            words = result.tagging.words
            return Tagging(tuple(TaggedWord(w.text, w.start, w.end, w.tag, w.score) for w in words))
        case "spans":
            spans = result.spans.spans
            return Spans(tuple(Span(s.text, s.start, s.end, s.label, s.score) for s in spans))
        case _:
            raise _unreadable(f"the kind of result of task {result.task!r}", info.request_id)


def _read_classification(wire: result_pb2.Classification) -> Classification:
    scores = tuple(LabelScore(entry.label, entry.score) for entry in wire.scores)
    return Classification(wire.label, wire.score, scores)


def _unreadable(what: str, request_id: str) -> InternalError:
    return InternalError(
        f"this client is too old for the server: it cannot read {what}",
        code="INTERNAL",
        request_id=request_id,
    )


def read_bundle(message: service_pb2.ListTasksResponse) -> Bundle:
    """Convert the list of tasks."""
    limits = message.limits
    return Bundle(
        name=message.bundle_name,
        version=message.bundle_version,
        tasks=tuple(map(_read_task, message.tasks)),
        limits=Limits(limits.max_documents, limits.max_text_chars, limits.max_request_chars),
    )


def _read_task(task: task_pb2.Task) -> Task:
    kind = _KIND_OF_WIRE.get(task.kind, HeadKind.UNKNOWN)
    figures = tuple(Figure(f.data_set, f.split, f.metric, f.value) for f in task.figures)
    return Task(task.name, kind, tuple(task.labels), figures)
