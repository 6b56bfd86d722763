"""The service on a socket."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from polyhead import _health
from polyhead._bundle import Bundle, Health, Limits
from polyhead._status import REQUEST_ID_KEY
from polyhead.testing._answers import LIMITS, Answerer, Rejection, known_unit, timings
from polyhead.testing._faults import Fault, Faults, Gate
from polyhead.testing._heads import DEFAULT_HEADS, Head
from polyhead.v1 import annotation_service_pb2 as service_pb2
from polyhead.v1.annotation_service_pb2_grpc import (
    AnnotationServiceServicer,
    add_AnnotationServiceServicer_to_server,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyhead._errors import Violation

_WORKERS = 16
_MAX_MESSAGE_BYTES = 128 * 2**20


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


@dataclass(frozen=True, slots=True)
class ServerTLS:
    """Serves with TLS.

    Attributes:
        certificate: PEM of the server's certificate chain.
        key: PEM of its private key.
        client_ca: PEM of the authorities whose clients may call; None: any client may.
    """

    certificate: bytes
    key: bytes
    client_ca: bytes | None = None


class Service:
    """A running service. Made by `serve`.

    Attributes:
        address: `HOST:PORT` to call.
        port: The port.
        calls: Every message received, oldest first, failed ones included; health checks aside.
        health: What health checks say; may be set.
    """

    def __init__(self, answerer: Answerer, token: str | None) -> None:
        self.address = ""
        self.port = 0
        self.calls: list[Call] = []
        self.health = Health.SERVING
        self._answerer = answerer
        self._token = token
        self._faults = Faults()
        self._gate = Gate()
        self._server: grpc.Server | None = None

    @property
    def bundle(self) -> Bundle:
        """What `list_tasks` gives."""
        return self._answerer.bundle()

    def fail(
        self,
        times: int = 1,
        code: str = "UNAVAILABLE",
        message: str = "made to fail",
        *,
        retry_after: float | None = None,
        violations: Sequence[Violation] = (),
        after: int = 0,
        method: str | None = None,
    ) -> None:
        """Make calls fail.

        Args:
            times: How many.
            code: The status code's name.
            message: The status message.
            retry_after: Seconds to send as RetryInfo.
            violations: Fields to send as BadRequest.
            after: Of a stream: fail it when so many of its messages were answered.
            method: The method concerned; None: Annotate and AnnotateStream.
        """
        rejection = Rejection(code, message, violations, retry_after)
        for _ in range(times):
            self._faults.add(Fault(rejection, method, after))

    def fail_items(
        self,
        times: int = 1,
        code: str = "INTERNAL",
        message: str = "made to fail",
        *,
        retry_after: float | None = None,
    ) -> None:
        """Make items of streams fail, each on its own; arguments are those of `fail`."""
        for _ in range(times):
            self._faults.add_item(Rejection(code, message, (), retry_after))

    def hold(self) -> AbstractContextManager[None]:
        """Hold the messages of Annotate and AnnotateStream until the block is left."""
        return self._gate.closed()

    def wait_held(self, count: int = 1, timeout: float = 10.0) -> None:
        """Wait until so many messages are held.

        Raises:
            TimeoutError: They are not in this time, in seconds.
        """
        self._gate.wait_held(count, timeout)

    def shutdown(self) -> None:
        """Go away now, as a server that is killed does: calls that run fail as UNAVAILABLE."""
        if self._server is not None:
            self._server.stop(grace=0).wait()

    def _admit(self, method: str, context: grpc.ServicerContext) -> _Admission:
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        request_id = metadata.get(REQUEST_ID_KEY) or uuid.uuid4().hex
        context.send_initial_metadata(((REQUEST_ID_KEY, request_id),))
        context.add_callback(self._gate.stir)
        admission = _Admission(self, method, context, metadata, request_id)
        if self._token is not None and metadata.get("authorization") != f"Bearer {self._token}":
            admission.abort(Rejection("UNAUTHENTICATED", "the token is missing or wrong"))
        return admission


@dataclass(frozen=True, slots=True)
class _Admission:
    """One call on its way through the service."""

    service: Service
    method: str
    context: grpc.ServicerContext
    metadata: dict[str, str]
    request_id: str

    def receive(self, request: Any) -> None:
        left = self.context.time_remaining()
        self.service.calls.append(Call(self.method, request, self.metadata, left))
        if self.method != "ListTasks":
            self.service._gate.pass_through(self.context.is_active)  # noqa: SLF001 - one module

    def abort(self, rejection: Rejection) -> NoReturn:
        status = status_of(rejection, self.request_id)
        self.context.set_trailing_metadata(
            (("grpc-status-details-bin", status.SerializeToString()),)
        )
        self.context.abort(grpc.StatusCode[rejection.code], rejection.message)


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


class _Servicer(AnnotationServiceServicer):
    """Convert, answer, convert."""

    def __init__(self, service: Service, answerer: Answerer, faults: Faults) -> None:
        self._service = service
        self._answerer = answerer
        self._faults = faults

    def Annotate(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return self._unary("Annotate", request, context, self._annotate)

    def ListTasks(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return self._unary("ListTasks", request, context, lambda _: self._answerer.list_tasks())

    def AnnotateStream(  # noqa: N802 - gRPC's name
        self, request_iterator: Any, context: Any
    ) -> Iterator[service_pb2.AnnotateStreamResponse]:
        admission = self._service._admit("AnnotateStream", context)  # noqa: SLF001 - one module
        fault = self._faults.take("AnnotateStream")
        for answered, request in enumerate(request_iterator):
            admission.receive(request)
            if fault is not None and answered == fault.after:
                admission.abort(fault.rejection)
            try:
                yield self._stream_message(request, admission.request_id)
            except Rejection as rejection:
                admission.abort(rejection)

    def _unary(self, method: str, request: Any, context: Any, answer: Callable[[Any], Any]) -> Any:
        admission = self._service._admit(method, context)  # noqa: SLF001 - one module
        admission.receive(request)
        fault = self._faults.take(method)
        if fault is not None:
            admission.abort(fault.rejection)
        try:
            return answer(request)
        except Rejection as rejection:
            admission.abort(rejection)

    def _annotate(self, request: service_pb2.AnnotateRequest) -> service_pb2.AnnotateResponse:
        answerer = self._answerer
        answerer.check_size(request.documents, "documents")
        heads, unit = answerer.pick(request.tasks), known_unit(request.offset_unit)
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
        heads, unit = answerer.pick(request.tasks), known_unit(request.offset_unit)
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
        rejection = self._faults.take_item()
        if rejection is not None:
            raise rejection


@contextmanager
def serve(
    *,
    heads: Sequence[Head] = DEFAULT_HEADS,
    limits: Limits = LIMITS,
    bundle_version: str = "testing-1",
    port: int = 0,
    token: str | None = None,
    tls: ServerTLS | None = None,
) -> Iterator[Service]:
    """Serve on 127.0.0.1 until the block is left.

    Args:
        heads: The tasks to serve.
        limits: The bounds on one request.
        bundle_version: The version to report.
        port: The port; 0: any free one.
        token: The bearer token that calls must carry; None: none.
        tls: Serve with TLS.

    Raises:
        RuntimeError: The port is taken.
    """
    answerer = Answerer(tuple(heads), replace(limits), "testing", bundle_version)
    service = Service(answerer, token)
    executor = ThreadPoolExecutor(_WORKERS, thread_name_prefix="polyhead-testing")
    server = grpc.server(
        executor,
        options=(
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ),
    )
    servicer = _Servicer(service, answerer, service._faults)  # noqa: SLF001 - one module
    add_AnnotationServiceServicer_to_server(servicer, server)
    server.add_generic_rpc_handlers((_health_handler(service),))
    service.port = _listen(server, port, tls)
    service.address = f"127.0.0.1:{service.port}"
    server.start()
    service._server = server  # noqa: SLF001 - one module
    try:
        yield service
    finally:
        service.shutdown()
        executor.shutdown()


def _listen(server: grpc.Server, port: int, tls: ServerTLS | None) -> int:
    address = f"127.0.0.1:{port}"
    if tls is None:
        return server.add_insecure_port(address)
    credentials = grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], tls.client_ca, tls.client_ca is not None
    )
    return server.add_secure_port(address, credentials)


def _health_handler(service: Service) -> grpc.GenericRpcHandler:
    def check(name: str, context: grpc.ServicerContext) -> Health:
        if name not in ("", _health.ANNOTATION_SERVICE):
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return service.health

    handler = grpc.unary_unary_rpc_method_handler(
        check, _health.decode_request, _health.encode_response
    )
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})
