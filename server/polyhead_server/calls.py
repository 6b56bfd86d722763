"""What all calls have in common, in one `with`: identity, deadline, metrics, logs, errors."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import re
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, Self

import grpc
import structlog

from polyhead_server.aborting import abort
from polyhead_server.access_log import Work, log_call, log_texts, warn_of_texts
from polyhead_server.callers import Origin, caller_of
from polyhead_server.departure import Departure
from polyhead_server.errors import (
    DeadlineExceededError,
    DrainingError,
    InternalError,
    RequestError,
)
from polyhead_server.headers import (
    CLIENT_HEADER,
    PROXY_FOR_JSON,
    PROXY_HEADER,
    REQUEST_ID_HEADER,
)
from polyhead_server.security.access import Access
from polyhead_server.wire_errors import DETAILS_KEY, code_of, status_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from polyhead_server.annotator import Annotated
    from polyhead_server.metrics import Metrics
    from polyhead_server.tracing import Trace, Tracing

    Context = grpc.aio.ServicerContext[Any, Any]

_log = structlog.get_logger(__name__)
_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_MOST_NAME = 128
"""Characters of a client's name in the log."""


class Wire(Origin, Protocol):
    """What a call needs of its wire: a gRPC context has it, and so has an HTTP request's."""

    def invocation_metadata(self) -> Any:
        """Pairs of lower-case key and value that came with the call."""

    async def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Send pairs of key and value ahead of the answer."""

    def time_remaining(self) -> float | None:
        """Seconds to the caller's deadline; None without one."""

    def cancelled(self) -> bool:
        """Whether the caller gave up."""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Take the status of a call that failed."""

    def set_details(self, details: str) -> None:
        """Take its message."""

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Take pairs of key and value to send behind the answer."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service, as the metrics name it."""

    kind: str
    """unary or bidi_stream; http where it came over HTTP."""
    service: str
    name: str


class Calls:
    """Opens calls, and knows how many are under way.

    Args:
        metrics: where calls are counted.
        default_deadline: seconds for a call whose client sets none.
        access: who is let in, and how much each may ask for; None for everybody and anything.
        access_log: write a line for each call.
        log_text: write the texts that are annotated into the log.
        tracing: traces calls; None traces none.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        default_deadline: float = math.inf,
        access: Access | None = None,
        access_log: bool = False,
        log_text: bool = False,
        tracing: Tracing | None = None,
    ) -> None:
        self.metrics = metrics
        self.default_deadline = default_deadline
        self.access_log = access_log
        self.log_text = log_text
        self.tracing = tracing
        if log_text:
            warn_of_texts()
        self.draining = False
        self.departure = Departure()
        self.access = access or Access()
        self._under_way = 0
        metrics.watch_calls(lambda: self._under_way)
        self._idle = asyncio.Event()
        self._idle.set()
        self._stops: dict[object, Callable[[], object]] = {}

    def open(self, context: Wire, method: Method) -> Call:
        """A call, to be used with `with`."""
        return Call(self, context, method)

    @contextlib.contextmanager
    def on_drain(self, stop: Callable[[], object]) -> Any:
        """Have `stop` called when draining begins, at once where it has begun."""
        key = object()
        self._stops[key] = stop
        if self.draining:
            stop()
        try:
            yield
        finally:
            del self._stops[key]

    async def pause(self, seconds: float) -> None:
        """Wait so long.

        Raises:
            DrainingError: the server is shutting down.
        """
        draining = asyncio.Event()
        with self.on_drain(draining.set), contextlib.suppress(TimeoutError):
            await asyncio.wait_for(draining.wait(), seconds)
            raise DrainingError

    def drain(self) -> None:
        """Ask long calls to come to an end."""
        self.draining = True
        for stop in tuple(self._stops.values()):
            stop()

    async def idle(self, limit: float) -> bool:
        """Wait until no call is under way, `limit` seconds at most; whether it came to that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while self._under_way:  # a call may have begun since the last one ended
                    await self._idle.wait()
        return not self._under_way

    def begun(self) -> None:
        """A call has begun."""
        self._under_way += 1
        self._idle.clear()

    def ended(self) -> None:
        """A call has ended."""
        self._under_way -= 1
        if self._under_way == 0:
            self._idle.set()


class Call:
    """One call under way. Its `with` swallows every error and makes it the call's status.

    Attributes:
        request_id: the caller's name for the call, or ours.
    """

    def __init__(self, calls: Calls, context: Wire, method: Method) -> None:
        self._calls = calls
        self._context = context
        self._method = method
        self._counts = calls.metrics.method(method.kind, method.service, method.name)
        self._metadata = {k: v for k, v in context.invocation_metadata() or () if type(v) is str}
        self._start = time.perf_counter()
        self.request_id = _request_id(self._metadata.get(REQUEST_ID_HEADER, ""))
        self._trace = self._begin_trace(calls.tracing)
        self._work = Work() if calls.access_log or self._trace else None
        self._client: str | None = None
        self._sent_id = False

    @property
    def for_json(self) -> bool:
        """Whether a gateway makes JSON of the answer."""
        return self._metadata.get(PROXY_HEADER) == PROXY_FOR_JSON

    async def greet(self) -> None:
        """Begin a stream: send the request id, and check that the caller may call.

        A gateway that answers in JSON is not told before there is something to tell: an error that
        comes first then still has a status of its own.

        Raises:
            UnauthenticatedError: the caller may not.
            PermissionDeniedError: the caller is known, and may not.
            RateExceededError: it called too often.
        """
        if not self.for_json:
            await self._send_first()
        self.let_in()

    def let_in(self) -> None:
        """Check that the caller may call.

        Raises:
            UnauthenticatedError: the caller may not.
            PermissionDeniedError: the caller is known, and may not.
            RateExceededError: it called too often.
        """
        access = self._calls.access
        self._client = access.admit(self._metadata.get("authorization", ""))
        if access.rates is not None:
            access.rates.take(self._name(), calls=1)

    def charge(self, chars: Callable[[], int]) -> None:
        """Take the code points of a single call out of the caller's quota.

        Args:
            chars: counts them, where that is of any use.

        Raises:
            RateExceededError: there are not that many left.
        """
        rates = self._calls.access.rates
        if rates is not None:
            rates.take(self._name(), chars=chars())

    async def pace(self, chars: Callable[[], int], deadline: float) -> None:
        """Hold a message of a stream back until it is within the caller's quota.

        Raises:
            RateExceededError: its turn would come behind the deadline.
            DrainingError: the server is shutting down.
        """
        rates = self._calls.access.rates
        if rates is None:
            return
        left = deadline - asyncio.get_running_loop().time()
        client, size = self._name(), chars()
        wait = rates.reserve(client, calls=1, chars=size, within=left)
        if not wait:
            return
        try:
            await self._calls.pause(wait)
        except BaseException:  # its caller is gone, or the server goes: it will not have its turn
            rates.give_back(client, calls=1, chars=size)
            raise

    def send_id(self) -> None:
        """Send the request id of a single call, behind its answer.

        Ahead of the answer it would cost a write of its own; and as long as nothing came back, a
        gateway can try the call elsewhere.
        """
        self._context.set_trailing_metadata(((REQUEST_ID_HEADER, self.request_id),))

    async def _send_first(self) -> None:
        self._sent_id = True
        await self._context.send_initial_metadata(((REQUEST_ID_HEADER, self.request_id),))

    def deadline(self, default: float | None = None) -> float:
        """Event loop time at which the client, or else `default` seconds, puts an end to it."""
        seconds = self._context.time_remaining()
        if seconds is None:
            seconds = self._calls.default_deadline if default is None else default
        if self._calls.access.max_seconds:
            seconds = min(seconds, self._calls.access.max_seconds)
        return asyncio.get_running_loop().time() + seconds

    def count(self, annotated: Annotated) -> None:
        """Take note of an answer for logs and traces, and log what in it was our fault."""
        for outcome in annotated.outcomes:
            if isinstance(outcome, RequestError):
                told(outcome)
        if self._work is not None:
            self._work.add(annotated)
        if self._trace is not None:
            self._trace.add(annotated.timings)
        if self._calls.log_text:
            log_texts(annotated)

    def received(self) -> None:
        """A message was received."""
        self._counts.received.inc()

    def sent(self) -> None:
        """A message was sent."""
        self._counts.sent.inc()

    def __enter__(self) -> Self:
        ids = {} if self._trace is None else self._trace.ids
        structlog.contextvars.bind_contextvars(request_id=self.request_id, **ids)
        self._counts.started.inc()
        self._calls.begun()
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> bool:
        code = self._end(error)
        seconds = time.perf_counter() - self._start
        self._counts.ended(_go_name(code), seconds, self._exemplar())
        self._calls.ended()
        if self._work is not None:
            self._report(self._work, code, seconds)
        return error is not None and not isinstance(error, asyncio.CancelledError)

    def _end(self, error: BaseException | None) -> grpc.StatusCode:
        if error is None:
            return grpc.StatusCode.OK
        if _caller_is_gone(error) or self._context.cancelled():
            late = self._context.time_remaining() == 0
            return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
        known = told(error)
        status = status_of(known, self.request_id)
        self._context.set_code(code_of(known))
        self._context.set_details(status.message)
        details: tuple[tuple[str, str | bytes], ...] = ((DETAILS_KEY, status.SerializeToString()),)
        if not self._sent_id:
            details = (*details, (REQUEST_ID_HEADER, self.request_id))
        self._context.set_trailing_metadata(details)
        return code_of(known)

    def _begin_trace(self, tracing: Tracing | None) -> Trace | None:
        if tracing is None:
            return None
        return tracing.begin(f"{self._method.service}/{self._method.name}", self._metadata)

    def _exemplar(self) -> dict[str, str] | None:
        """What leads from the time of this call to its trace, where there is one."""
        return self._trace.ids if self._trace is not None and self._trace.sampled else None

    def _report(self, work: Work, code: grpc.StatusCode, seconds: float) -> None:
        """Log and trace a call that is over."""
        if self._calls.access_log:
            log_call(self._method.name, code, seconds, work, self._caller())
        if self._calls.tracing is not None and self._trace is not None:
            notes: dict[str, str | int] = {
                "polyhead.request_id": self.request_id,
                "polyhead.documents": work.documents,
                "polyhead.chars": work.chars,
                "polyhead.tokens": work.tokens,
            }
            self._calls.tracing.end(self._trace, self._start, code, notes)

    def _caller(self) -> dict[str, str]:
        """Who called, and for whom, where it is a gateway that says so."""
        caller = {"client": self._name()}
        if CLIENT_HEADER in self._metadata:
            caller["for_client"] = self._metadata[CLIENT_HEADER][:_MOST_NAME]
        return caller

    def _name(self) -> str:
        """Who called: by token, else certificate, else address."""
        return self._client or caller_of(self._context)


@contextlib.contextmanager
def on_deadline(deadline: float, stop: Callable[[], object]) -> Any:
    """Have `stop` called at an event loop time, which may be never."""
    if deadline == math.inf:
        yield
        return
    handle = asyncio.get_running_loop().call_at(deadline, stop)
    try:
        yield
    finally:
        handle.cancel()


async def refuse(context: Context) -> None:
    """Send the status of a call that failed, if it did, and nothing before it.

    gRPC puts an empty message before a status that is only set, and then no proxy would try the
    call elsewhere, nor translate its details.
    """
    code = context.code()
    if isinstance(code, grpc.StatusCode) and code is not grpc.StatusCode.OK:
        await abort(context, code, context.details(), context.trailing_metadata())


def told(error: BaseException) -> RequestError:
    """The error that a caller is told. A fault of ours is logged, and told as INTERNAL only."""
    if isinstance(error, InternalError):
        _log.error("internal_error", exc_info=error.__cause__ or error)
        return error
    if isinstance(error, RequestError):
        return error
    if isinstance(error, TimeoutError):
        return DeadlineExceededError()
    _log.error("internal_error", exc_info=error)
    return InternalError()


def _caller_is_gone(error: BaseException) -> bool:
    """Whether an error only says that nobody is there any more to read or write to."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_caller_is_gone, error.exceptions))
    return isinstance(error, asyncio.CancelledError | grpc.aio.BaseError)


def _request_id(given: str) -> str:
    if _REQUEST_ID.fullmatch(given):
        return given
    return f"{random.getrandbits(128):032x}"


@cache
def _go_name(code: grpc.StatusCode) -> str:
    """The code as Go spells it, which is what dashboards ask for: ResourceExhausted."""
    if code is grpc.StatusCode.CANCELLED:
        return "Canceled"
    name: str = code.name
    return name if name == "OK" else "".join(part.capitalize() for part in name.split("_"))
