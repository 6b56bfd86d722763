"""The methods of the service: convert, answer, convert."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from polyhead._bundle import Health
from polyhead._status import REQUEST_ID_KEY
from polyhead.testing._answers import Answerer, Rejection, timings
from polyhead.testing._faults import Faults, Gate
from polyhead.v1 import annotation_service_pb2 as service_pb2
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceServicer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_STREAM = "AnnotateStream"


@dataclass(frozen=True, slots=True)
class Call:
    """One message that the service received.

    Attributes:
        method: `"Annotate"`, `"AnnotateStream"` or `"ListTasks"`.
        request: The message; of a stream, one of its messages.
        metadata: The call's metadata.
        seconds_left: Until the call's deadline; None where it has none.
    """

    method: str
    request: Any
    metadata: dict[str, str]
    seconds_left: float | None


@dataclass(slots=True)
class State:
    """What the service and its methods share."""

    token: str | None
    calls: list[Call] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    gate: Gate = field(default_factory=Gate)
    health: Health = Health.SERVING


@dataclass(frozen=True, slots=True)
class _Admission:
    """One call on its way through the service."""

    state: State
    method: str
    context: grpc.ServicerContext
    metadata: dict[str, str]
    request_id: str

    def receive(self, request: Any) -> None:
        left = self.context.time_remaining()
        self.state.calls.append(Call(self.method, request, self.metadata, left))
        if self.method != "ListTasks":
            self.state.gate.pass_through(self.context.is_active)

    def abort(self, rejection: Rejection) -> NoReturn:
        status = status_of(rejection, self.request_id)
        details: tuple[tuple[str, str | bytes], ...] = (
            ("grpc-status-details-bin", status.SerializeToString()),
        )
        if self.method != _STREAM:
            details = (*details, (REQUEST_ID_KEY, self.request_id))
        self.context.set_trailing_metadata(details)
        self.context.abort(grpc.StatusCode[rejection.code], rejection.message)


def _admit(state: State, method: str, context: grpc.ServicerContext) -> _Admission:
    metadata = {key: str(value) for key, value in context.invocation_metadata()}
    request_id = metadata.get(REQUEST_ID_KEY) or uuid.uuid4().hex
    own_id = ((REQUEST_ID_KEY, request_id),)
    if method == _STREAM:
        context.send_initial_metadata(own_id)
    else:  # as the server does: ahead of a single answer it would cost a write of its own
        context.set_trailing_metadata(own_id)
    context.add_callback(state.gate.stir)
    admission = _Admission(state, method, context, metadata, request_id)
    if state.token is not None and metadata.get("authorization") != f"Bearer {state.token}":
        admission.abort(Rejection("UNAUTHENTICATED", "the token is missing or wrong"))
    return admission


def status_of(rejection: Rejection, request_id: str) -> Status:
    """Give a rejection its wire form, with google.rpc details."""
    status = Status(code=grpc.StatusCode[rejection.code].value[0], message=rejection.message)
    details: list[Any] = [error_details_pb2.RequestInfo(request_id=request_id)]
    if rejection.violations:
        violation = error_details_pb2.BadRequest.FieldViolation
        fields = [violation(field=v.field, description=v.description) for v in rejection.violations]
        details.append(error_details_pb2.BadRequest(field_violations=fields))
    if rejection.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(int(rejection.retry_after * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in details:
        status.details.add().Pack(detail)
    return status


class Servicer(AnnotationServiceServicer):
    """Convert, answer, convert."""

    def __init__(self, state: State, answerer: Answerer) -> None:
        self._state = state
        self._answerer = answerer

    def Annotate(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return self._unary("Annotate", request, context, self._annotate)

    def ListTasks(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return self._unary("ListTasks", request, context, self._answerer.list_tasks)

    def AnnotateStream(  # noqa: N802 - gRPC's name
        self, request_iterator: Any, context: Any
    ) -> Iterator[service_pb2.AnnotateStreamResponse]:
        admission = _admit(self._state, _STREAM, context)
        fault = self._state.faults.take(_STREAM)
        for answered, request in enumerate(request_iterator):
            admission.receive(request)
            if fault is not None and answered == fault.after:
                admission.abort(fault.rejection)
            try:
                yield self._stream_message(request, admission.request_id)
            except Rejection as rejection:
                admission.abort(rejection)

    def _unary(self, method: str, request: Any, context: Any, answer: Callable[[Any], Any]) -> Any:
        admission = _admit(self._state, method, context)
        admission.receive(request)
        fault = self._state.faults.take(method)
        if fault is not None:
            admission.abort(fault.rejection)
        try:
            return answer(request)
        except Rejection as rejection:
            admission.abort(rejection)

    def _annotate(self, request: service_pb2.AnnotateRequest) -> service_pb2.AnnotateResponse:
        answerer = self._answerer
        answerer.check_size(request.documents, "documents")
        heads, unit = answerer.asked(request)
        return service_pb2.AnnotateResponse(
            annotations=[
                answerer.annotate(document, heads, unit, f"documents[{index}]")
                for index, document in enumerate(request.documents)
            ],
            offset_unit=unit,
            bundle_version=answerer.version,
            timings=timings(),
        )

    def _stream_message(
        self, request: service_pb2.AnnotateStreamRequest, request_id: str
    ) -> service_pb2.AnnotateStreamResponse:
        answerer = self._answerer
        answerer.check_size([item.document for item in request.items], "items")
        heads, unit = answerer.asked(request)
        response = service_pb2.AnnotateStreamResponse(
            offset_unit=unit, bundle_version=answerer.version, timings=timings()
        )
        for index, item in enumerate(request.items):
            outcome = response.outcomes.add(id=item.id)
            try:
                field = f"items[{index}].document"
                self._fail_item()
                outcome.annotation.CopyFrom(answerer.annotate(item.document, heads, unit, field))
            except Rejection as rejection:
                outcome.error.CopyFrom(status_of(rejection, request_id))
        return response

    def _fail_item(self) -> None:
        rejection = self._state.faults.take_item()
        if rejection is not None:
            raise rejection
