"""What the synchronous clients share: everything but how a message travels."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self, TypeVar

import grpc

from polyhead._client_stream import Link, StreamMethod, annotate_items
from polyhead._options import OffsetUnit, Priority
from polyhead._plans import CallOptions
from polyhead._resume import bulk_options
from polyhead._settings import check_documents, check_items
from polyhead._steps import Plan, Reply, Send, Wait

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from types import TracebackType

    from polyhead._annotation import Annotation, Annotations, Outcome
    from polyhead._bulk_items import StreamItem
    from polyhead._bundle import Bundle, Health
    from polyhead._plans import Planner
    from polyhead._words import Document

T = TypeVar("T")


class SyncCalls(ABC):
    """The calls of a synchronous client.

    Args:
        plans: Makes the plans of its calls.
    """

    def __init__(self, plans: Planner) -> None:
        self._plans = plans
        self._closed = False

    @abstractmethod
    def _send(self, step: Send) -> Reply:
        """Send a request and wait for its answer; raises grpc.RpcError."""

    @abstractmethod
    def _stream_method(self) -> StreamMethod:
        """Give what opens a stream."""

    @abstractmethod
    def _hang_up(self) -> None:
        """Close the connection."""

    def _reconnect(self, seconds: float) -> None:
        """Wait so long, and have a connection made meanwhile."""
        time.sleep(seconds)

    def annotate(
        self,
        document: Document,
        tasks: Iterable[str] | None = None,
        *,
        offset_unit: OffsetUnit | str = OffsetUnit.CODE_POINT,
        timeout: float | None = None,
        request_id: str | None = None,
        priority: Priority | str | None = None,
        bundle_version: str | None = None,
    ) -> Annotation:
        """Annotate one document.

        Args:
            document: Raw text, or `Words`.
            tasks: Names of tasks, as `list_tasks` gives them. None: every task of the bundle.
            offset_unit: The unit of offsets in the result.
            timeout: Seconds for the call, retries included; infinity as in the client. None: the
                client's.
            request_id: A name for the request in the server's logs, of at most 128 visible ASCII
                characters. None: the client makes one.
            priority: How urgent the call is. None: a single call is interactive, a stream bulk.
            bundle_version: The version of the bundle that is to answer; NotFoundError where it is
                not loaded. None: any.

        Raises:
            PolyheadError: There is no answer; see its subclasses.
        """
        options = CallOptions(tasks, offset_unit, timeout, request_id, priority, bundle_version)
        return self._run(self._plans.annotate(document, options))

    def annotate_many(
        self,
        documents: Sequence[Document],
        tasks: Iterable[str] | None = None,
        *,
        offset_unit: OffsetUnit | str = OffsetUnit.CODE_POINT,
        timeout: float | None = None,
        request_id: str | None = None,
        priority: Priority | str | None = None,
        bundle_version: str | None = None,
    ) -> Annotations:
        """Annotate documents in one request, which succeeds or fails as a whole.

        The server bounds a request: see `Bundle.limits`. For any number use `annotate_stream`.
        Arguments and errors are those of `annotate`.
        """
        options = CallOptions(tasks, offset_unit, timeout, request_id, priority, bundle_version)
        return self._run(self._plans.annotate_many(check_documents(documents), options))

    def annotate_stream(
        self,
        items: Iterable[StreamItem],
        tasks: Iterable[str] | None = None,
        *,
        ordered: bool = False,
        offset_unit: OffsetUnit | str = OffsetUnit.CODE_POINT,
        timeout: float | None = None,
        request_id: str | None = None,
        priority: Priority | str | None = None,
        bundle_version: str | None = None,
    ) -> Generator[Outcome, None, None]:
        """Annotate any number of documents, lazily: an endless input takes bounded memory.

        Items are taken from the input in the caller's thread, batched, and kept on their way in
        bounded number. A stream that breaks is opened again and what was unanswered is sent
        again; no item is lost or given twice.

        Args:
            items: Documents, or pairs of an id and a document. Ids need not be unique.
            tasks: As in `annotate`.
            ordered: Give outcomes in the order of the input rather than as they come.
            offset_unit: As in `annotate`.
            timeout: Seconds for which the server may stay silent while an answer is due.
                None: the client's.
            request_id: As in `annotate`, for the stream as a whole.
            priority: As in `annotate`.
            bundle_version: As in `annotate`.

        Returns:
            An outcome per item: its annotation, or its own error. Closing it ends the stream.

        Raises:
            PolyheadError: From the iterator, when the stream as a whole failed; items that had
                no outcome by then were not answered.
        """
        self._check_open()
        options = CallOptions(tasks, offset_unit, timeout, request_id, priority, bundle_version)
        bulk = bulk_options(self._plans, options, ordered=ordered)
        link = Link(self._stream_method(), self._reconnect)
        return annotate_items(self, self._plans, link, check_items(items), bulk)

    def list_tasks(
        self, *, timeout: float | None = None, bundle_version: str | None = None
    ) -> Bundle:
        """Ask for a bundle, its tasks and the server's limits; raises as `annotate` does."""
        return self._run(self._plans.list_tasks(timeout, bundle_version))

    def health(self, *, timeout: float | None = None) -> Health:
        """Ask once whether the server takes calls.

        Raises:
            UnavailableError: It cannot be reached.
            DeadlineExceededError: It does not answer.
        """
        return self._run(self._plans.health(timeout))

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the server takes calls.

        Raises:
            DeadlineExceededError: It does not in this time, in seconds.
        """
        self._run(self._plans.wait_ready(timeout))

    def close(self) -> None:
        """Close the connection; calls that run fail as cancelled. May be called again."""
        self._closed = True
        self._hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed")

    def _run(self, plan: Plan[T]) -> T:
        self._check_open()
        answer: Reply | None = None
        failure: grpc.RpcError | None = None
        while True:
            try:
                step = plan.throw(failure) if failure is not None else plan.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            answer = failure = None
            if isinstance(step, Wait):
                pause = self._reconnect if step.reconnect else time.sleep
                pause(step.seconds)
                continue
            try:
                answer = self._send(step)
            except grpc.RpcError as error:
                failure = error
