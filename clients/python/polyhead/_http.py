"""The synchronous client over HTTP/JSON, for where gRPC does not get through."""

from __future__ import annotations

import json
import math
import ssl
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import grpc
from google.api import annotations_pb2
from google.protobuf import json_format, message_factory

from polyhead._bundle import Health
from polyhead._calls import SyncCalls
from polyhead._http_failure import HttpFailure, failure_of, is_error
from polyhead._http_stream import HttpStream
from polyhead._http_transport import Answer, Transport, TransportError, check_headers, parse_url
from polyhead._options import TLS, BearerToken, ChannelOptions, RetryPolicy
from polyhead._settings import DEFAULT_TIMEOUT, planner
from polyhead._status import REQUEST_ID_KEY
from polyhead._steps import Method, Reply, Send
from polyhead.v1 import annotation_service_pb2 as service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from polyhead._client_stream import StreamMethod

DEFAULT_URL = "http://localhost:8080"

_HEALTH_PATH = "/healthz"
_MOST_IN_HEADER = 10**8 - 1  # of any unit


class _Route(NamedTuple):
    verb: str
    path: str
    answer: Any


def _route(method: str) -> _Route:
    """Read verb and path from the method's HTTP annotation."""
    service = service_pb2.DESCRIPTOR.services_by_name["AnnotationService"]
    descriptor = service.methods_by_name[method]
    rule = descriptor.GetOptions().Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    answer = message_factory.GetMessageClass(descriptor.output_type)
    return _Route(verb.upper(), getattr(rule, verb), answer)


_ROUTES = {Method.ANNOTATE: _route("Annotate"), Method.LIST_TASKS: _route("ListTasks")}
_STREAM = _route("AnnotateStream")


class HttpClient(SyncCalls):
    """Calls a polyhead server over HTTP/JSON, through a gateway that speaks it.

    Methods, results, errors, deadlines and retries are those of `Client`. Bulk work travels as a
    call for each few dozen documents, with several calls on their way. Needs nothing that
    Python does not bring.

    Args:
        url: `http://HOST:PORT` or `https://HOST:PORT`, and a path before those of the API if the
            gateway is behind one.
        timeout: Seconds for a call that does not say otherwise; infinity, or anything longer than
            24 days, for no deadline.
        retry: When and how often to try again.
        tls: For https, instead of Python's defaults: authorities, certificates.
        token: A bearer token to send with every call; needs https unless allowed without.
        headers: Headers to send with every call, such as an API key.

    Raises:
        ValueError: The URL cannot be understood, a header holds what none can carry, or the token
            would travel in the clear.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        token: str | BearerToken | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        place = parse_url(url)
        secure = TLS() if place.secure else None
        super().__init__(planner(timeout, retry, secure, token, ChannelOptions()))
        context = (tls or ssl.create_default_context()) if place.secure else None
        self._transport = Transport(place, context)
        self._headers = check_headers(headers or {})

    def _send(self, step: Send) -> Reply:
        seconds = math.inf if step.timeout is None else step.timeout
        headers = self._headers | dict(step.metadata)
        if step.timeout is not None:
            headers["grpc-timeout"] = _grpc_timeout(step.timeout)
        if step.method is Method.HEALTH:
            return self._health(headers, seconds)
        route = _ROUTES[step.method]
        body = None
        if route.verb == "GET":
            route = route._replace(path=route.path + _query(step.request))
        else:
            body = _encode(step.request)
        answer = self._ask(self._transport, route, body, headers, seconds)
        return Reply(_decode(answer, answer.body, route.answer), _metadata(answer))

    def _health(self, headers: dict[str, str], seconds: float) -> Reply:
        route = _Route("GET", _HEALTH_PATH, None)
        try:
            self._ask(self._transport, route, None, headers, seconds)
        except HttpFailure as failure:
            if failure.http_status == 503:  # noqa: PLR2004 - the gateway is there, its servers not
                return Reply(Health.NOT_SERVING, ())
            if failure.http_status in (404, 405):
                return Reply(Health.UNKNOWN, ())
            raise
        return Reply(Health.SERVING, ())

    def _stream_method(self) -> StreamMethod:
        return self._open_stream

    def _open_stream(
        self,
        request_iterator: Iterator[service_pb2.AnnotateStreamRequest],
        *,
        metadata: tuple[tuple[str, str], ...],
    ) -> HttpStream:
        transport = self._transport.child()
        headers = self._headers | dict(metadata)

        def post(
            request: service_pb2.AnnotateStreamRequest,
        ) -> service_pb2.AnnotateStreamResponse:
            body = b"[" + _encode(request) + b"]"
            answer = self._ask(transport, _STREAM, body, headers, math.inf)
            inner = answer.body.strip().removeprefix(b"[").removesuffix(b"]")
            return _decode(answer, inner, _STREAM.answer)  # type: ignore[no-any-return]

        return HttpStream(request_iterator, post, transport.close)

    def _hang_up(self) -> None:
        self._transport.close()

    def _ask(
        self,
        transport: Transport,
        route: _Route,
        body: bytes | None,
        headers: dict[str, str],
        seconds: float,
    ) -> Answer:
        if body is not None:
            headers = headers | {"content-type": "application/json"}
        try:
            answer = transport.exchange(route.verb, route.path, body, headers, seconds)
        except TransportError as error:
            raise HttpFailure(self._code(error), str(error)) from error
        if is_error(answer):
            raise failure_of(answer)
        return answer

    def _code(self, error: TransportError) -> grpc.StatusCode:
        if self._closed:
            return grpc.StatusCode.CANCELLED
        in_time = error.in_time
        return grpc.StatusCode.UNAVAILABLE if in_time else grpc.StatusCode.DEADLINE_EXCEEDED


def _query(message: Any) -> str:
    fields = json_format.MessageToDict(message)
    return f"?{urlencode(fields, quote_via=quote)}" if fields else ""


def _encode(message: Any) -> bytes:
    fields = json_format.MessageToDict(message)
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _decode(answer: Answer, body: bytes, cls: Any) -> Any:
    try:
        return json_format.Parse(body, cls(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise HttpFailure(
            grpc.StatusCode.INTERNAL,
            "the answer is not that of a polyhead gateway",
            http_status=answer.status,
            request_id=answer.headers.get(REQUEST_ID_KEY, ""),
        ) from error


def _metadata(answer: Answer) -> tuple[tuple[str, str], ...]:
    request_id = answer.headers.get(REQUEST_ID_KEY)
    return ((REQUEST_ID_KEY, request_id),) if request_id else ()


def _grpc_timeout(seconds: float) -> str:
    """Give a time as the header has it: in milliseconds, in seconds where those do not fit."""
    milliseconds = max(1, math.ceil(seconds * 1000))
    if milliseconds <= _MOST_IN_HEADER:
        return f"{milliseconds}m"
    return f"{min(_MOST_IN_HEADER, math.ceil(seconds))}S"
