"""Calls as plans: generators that ask for each send and each wait, and give the result.

A plan does no I/O. The sync and the async client differ only in how they carry out its steps:
a `Send` is answered with a `Reply`, or by throwing what grpc raised into the plan.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from polyhead import _convert, _documents, _health
from polyhead._bundle import Bundle, Health
from polyhead._documents import refused
from polyhead._errors import DeadlineExceededError, PolyheadError, UnavailableError
from polyhead._options import OffsetUnit, Priority
from polyhead._status import REQUEST_ID_KEY, error_of_rpc, find_text
from polyhead._steps import Deadline, Method, Plan, Reply, Send, Wait
from polyhead._tracing import trace_metadata
from polyhead.v1 import annotation_service_pb2 as service_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead._annotation import Annotation, Annotations
    from polyhead._retry import Retries
    from polyhead._words import Document

EVERY_TASK = "*"
_LONGEST_REQUEST_ID = 128
_LONGEST_SECONDS = 24 * 86400.0  # a socket waits at most 2**31 milliseconds, 24.8 days
_READY_WAITS = (0.05, 1.0)  # seconds between looks at a server that is not ready: first, longest

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a caller may say about one call."""

    tasks: Iterable[str] | None = None
    offset_unit: OffsetUnit | str = OffsetUnit.CODE_POINT
    timeout: float | None = None
    request_id: str | None = None
    priority: Priority | str | None = None
    bundle_version: str | None = None


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes the plans of one client from the settings that its calls share."""

    retries: Retries
    timeout: float
    metadata: tuple[tuple[str, str], ...]
    max_send_bytes: int

    def annotate(self, document: Document, options: CallOptions) -> Plan[Annotation]:
        """Annotate one document."""
        annotations = yield from self.annotate_many((document,), options)
        return annotations[0]

    def annotate_many(
        self, documents: Sequence[Document], options: CallOptions
    ) -> Plan[Annotations]:
        """Annotate documents in one request; raises InvalidArgumentError before any call."""
        request_id = name_request(options.request_id)
        wires = [_documents.to_wire(d, f"documents[{i}]") for i, d in enumerate(documents)]
        request = service_pb2.AnnotateRequest(
            documents=wires,
            tasks=wire_tasks(options.tasks),
            offset_unit=_convert.UNIT_TO_WIRE[check_unit(options.offset_unit)],
            priority=_convert.PRIORITY_TO_WIRE[check_priority(options.priority)],
            bundle_version=check_version(options.bundle_version),
        )
        self._check_size(request)
        reply = yield from self._attempts(Method.ANNOTATE, request, options.timeout, request_id)
        served_as = find_text(reply.metadata, REQUEST_ID_KEY) or request_id
        return _convert.read_annotations(reply.message, served_as)

    def list_tasks(self, timeout: float | None, bundle_version: str | None = None) -> Plan[Bundle]:
        """Ask for a bundle."""
        request = service_pb2.ListTasksRequest(bundle_version=check_version(bundle_version))
        reply = yield from self._attempts(Method.LIST_TASKS, request, timeout, name_request(None))
        return _convert.read_bundle(reply.message)

    def health(self, timeout: float | None) -> Plan[Health]:
        """Ask once, without retries: a failure to reach the server is the answer."""
        deadline = self.deadline(timeout)
        reply = yield from self._ask_health(deadline)
        return reply

    def wait_ready(self, timeout: float | None) -> Plan[None]:
        """Ask until the server takes calls."""
        deadline = self.deadline(timeout)
        wait, longest = _READY_WAITS
        while True:
            try:
                health: Health | PolyheadError = yield from self._ask_health(deadline)
            except (UnavailableError, DeadlineExceededError) as error:
                health = error
            if health is Health.SERVING:
                return
            if deadline.remaining() <= wait:
                raise _not_ready(health)
            yield Wait(wait, reconnect=isinstance(health, UnavailableError))
            wait = min(longest, wait * 2)

    def deadline(self, timeout: float | None) -> Deadline:
        """Start the clock of a call; raises as `seconds` does."""
        return Deadline(self.seconds(timeout))

    def seconds(self, timeout: float | None) -> float:
        """Give the time of a call: infinity where it is longer than clocks and sockets can count.

        Raises:
            InvalidArgumentError: There is none.
        """
        chosen = self.timeout if timeout is None else timeout
        if not chosen > 0:
            raise refused("timeout", "must be more than 0 seconds")
        return math.inf if chosen > _LONGEST_SECONDS else chosen

    def call_metadata(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """Give the metadata of one call."""
        return (*self.metadata, (REQUEST_ID_KEY, request_id), *trace_metadata())

    def _ask_health(self, deadline: Deadline) -> Plan[Health]:
        request_id = name_request(None)
        try:
            reply = yield Send(
                Method.HEALTH,
                _health.ANNOTATION_SERVICE,
                deadline.for_grpc(),
                self.call_metadata(request_id),
            )
        except grpc.RpcError as failure:
            error = error_of_rpc(failure, request_id)
            if error.code in ("NOT_FOUND", "UNIMPLEMENTED"):
                return Health.UNKNOWN
            raise error from failure
        return _expect(reply).message  # type: ignore[no-any-return]

    def _attempts(
        self, method: Method, request: Any, timeout: float | None, request_id: str
    ) -> Plan[Reply]:
        deadline = self.deadline(timeout)
        metadata = self.call_metadata(request_id)
        self.retries.budget.earn()
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = yield Send(method, request, deadline.for_grpc(), metadata)
            except grpc.RpcError as failure:
                error = error_of_rpc(failure, request_id)
                wait = self.retries.delay(error, attempt, deadline.remaining())
                if wait is None:
                    raise error from failure
                pause = Wait(wait, reconnect=isinstance(error, UnavailableError))
            else:
                return _expect(reply)
            yield pause

    def _check_size(self, request: service_pb2.AnnotateRequest) -> None:
        size = request.ByteSize()
        if size > self.max_send_bytes:
            raise refused("documents", f"take {size} bytes; the limit is {self.max_send_bytes}")


def wire_tasks(tasks: Iterable[str] | None) -> list[str]:
    """Give the tasks to ask for: every one where None is given. Reads an iterable once.

    Raises:
        InvalidArgumentError: It is one name, or no iterable, or a name is not text.
    """
    if tasks is None:
        return [EVERY_TASK]
    if isinstance(tasks, str) or not isinstance(tasks, Iterable):
        example = tasks if isinstance(tasks, str) else "pos"
        raise refused("tasks", f"must be a sequence of names, such as [{example!r}]")
    names = list(tasks)
    for index, name in enumerate(names):
        if not isinstance(name, str) or not name.isprintable():
            raise refused(f"tasks[{index}]", "must be a printable str")
    return names


def check_version(bundle_version: str | None) -> str:
    """Give the version as on the wire; raises InvalidArgumentError for what none can carry."""
    if bundle_version is None:
        return ""
    _documents.check_text(bundle_version, "bundle_version")
    return bundle_version


def check_unit(unit: OffsetUnit | str) -> OffsetUnit:
    """Give the offset unit by value; raises InvalidArgumentError for an unknown one."""
    return _member(OffsetUnit, unit, "offset_unit")


def check_priority(priority: Priority | str | None) -> Priority | None:
    """Give the priority by value; raises InvalidArgumentError for an unknown one."""
    return None if priority is None else _member(Priority, priority, "priority")


def _member(kind: type[E], value: str, field: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise refused(field, f"must be one of {', '.join(kind)}, not {value!r}") from None


def name_request(request_id: str | None) -> str:
    """Check the caller's id, or make one; raises InvalidArgumentError for an unfit one."""
    if request_id is None:
        return uuid.uuid4().hex
    fits = isinstance(request_id, str) and 0 < len(request_id) <= _LONGEST_REQUEST_ID
    if not fits or not all("!" <= character <= "~" for character in request_id):
        raise refused("request_id", "must be 1 to 128 visible ASCII characters")
    return request_id


def _expect(reply: Reply | None) -> Reply:
    if reply is None:
        raise TypeError("a Send is answered with a Reply")
    return reply


def _not_ready(seen: Health | PolyheadError) -> DeadlineExceededError:
    what = seen.message if isinstance(seen, PolyheadError) else f"health is {seen}"
    return DeadlineExceededError(
        f"the server was not ready in time: {what}", code="DEADLINE_EXCEEDED"
    )
