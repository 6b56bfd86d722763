"""Bulk streams of the synchronous client.

The caller's thread takes items in, decides, and gives outcomes out. One more thread per open
stream reads answers, because grpc offers no other way to look whether one is there.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from polyhead._bulk import Bulk
from polyhead._bulk_items import BulkOptions, Message, StreamItem
from polyhead._resume import Resumption

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyhead._annotation import Outcome
    from polyhead._calls import SyncCalls
    from polyhead._plans import Planner
    from polyhead.v1.annotation_service_pb2 import AnnotateStreamRequest, AnnotateStreamResponse


class StreamCall(Protocol):
    """An open stream, as grpc has it."""

    def __iter__(self) -> Iterator[AnnotateStreamResponse]:
        """Give the answers; raises grpc.RpcError."""

    def cancel(self) -> Any:
        """Give it up."""


class StreamMethod(Protocol):
    """Opens a stream, as grpc does."""

    def __call__(
        self,
        request_iterator: Iterator[AnnotateStreamRequest],
        *,
        metadata: tuple[tuple[str, str], ...],
    ) -> StreamCall:
        """Open a stream that sends these messages."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a stream needs of the connection.

    Attributes:
        method: Opens a stream.
        reconnect: Waits so many seconds, and has a connection made meanwhile.
    """

    method: StreamMethod
    reconnect: Callable[[float], None]


_GOODBYE_SECONDS = 5.0
_SLICE_SECONDS = 0.2


class PolledSource(ABC, Iterator[StreamItem]):
    """An input that knows whether its next item is there without waiting.

    While an answer is due and no item is there, the stream waits for the answer: what is typed or
    trickles in is answered before the next line comes.
    """

    @abstractmethod
    def ready(self) -> bool:
        """Whether `next` would not wait."""


@dataclass(frozen=True, slots=True)
class _Ended:
    failure: grpc.RpcError | None


class _Call:
    """One open stream."""

    def __init__(self, method: StreamMethod, metadata: tuple[tuple[str, str], ...]) -> None:
        self._outbox: queue.SimpleQueue[AnnotateStreamRequest | None] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[AnnotateStreamResponse | _Ended] = queue.SimpleQueue()
        self._call = method(iter(self._outbox.get, None), metadata=metadata)
        reader = threading.Thread(target=self._read, name="polyhead-stream", daemon=True)
        reader.start()

    def send(self, request: AnnotateStreamRequest) -> None:
        self._outbox.put(request)

    def next_event(self, timeout: float | None) -> AnnotateStreamResponse | _Ended:
        """Wait for an answer or the end; raises queue.Empty when the time is up.

        It waits in slices, as grpc does: a signal that comes just before a wait would be handled
        only behind it, and Ctrl-C might seem to do nothing.
        """
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            try:
                return self._events.get(timeout=max(0.0, min(_SLICE_SECONDS, left)))
            except queue.Empty:
                if left <= _SLICE_SECONDS:
                    raise

    def poll(self) -> AnnotateStreamResponse | _Ended | None:
        try:
            return self._events.get_nowait()
        except queue.Empty:
            return None

    def finish(self) -> None:
        """End in peace: say that no more comes, and let the server end the call."""
        self._outbox.put(None)
        try:
            self._events.get(timeout=_GOODBYE_SECONDS)
        except queue.Empty:
            self._call.cancel()

    def abandon(self) -> None:
        self._call.cancel()
        self._outbox.put(None)

    def _read(self) -> None:
        try:
            for response in self._call:
                self._events.put(response)
            self._events.put(_Ended(None))
        except grpc.RpcError as failure:
            self._events.put(_Ended(failure))


def annotate_items(
    client: SyncCalls,
    plans: Planner,
    link: Link,
    items: Iterable[StreamItem],
    options: BulkOptions,
) -> Generator[Outcome, None, None]:
    """Give an iterator that does everything when it is asked for the first outcome."""
    source = iter(items)

    def run() -> Generator[Outcome, None, None]:
        bulk = Bulk(options, client.list_tasks(timeout=options.silence).limits)
        yield from _Run(plans, link, bulk, options).outcomes(source)

    return run()


class _Run:
    """One bulk stream, over as many calls as it takes."""

    def __init__(self, plans: Planner, link: Link, bulk: Bulk, options: BulkOptions) -> None:
        self._link = link
        self._metadata = plans.call_metadata(options.request_id)
        self._bulk = bulk
        self._resumption = Resumption(plans.retries, bulk, options)
        self._call: _Call | None = None

    def outcomes(self, source: Iterator[StreamItem]) -> Generator[Outcome, None, None]:
        bulk = self._bulk
        try:
            while not bulk.finished:
                while (outcome := bulk.pop()) is not None:
                    yield outcome
                self._step(source)
            self._finish()
        finally:
            self._abandon()

    def _step(self, source: Iterator[StreamItem]) -> None:
        """Do the first of: handle what came, take an item in, wait for what comes."""
        event = self._call.poll() if self._call is not None else None
        if event is None and self._bulk.has_room and not self._better_wait(source):
            self._pull(source)
        elif event is None and self._call is not None and self._bulk.waiting:
            self._handle(self._await_event(self._call))
        elif event is not None:
            self._handle(event)

    def _better_wait(self, source: Iterator[StreamItem]) -> bool:
        """Whether an answer is likely to come before the next item."""
        return self._bulk.waiting and isinstance(source, PolledSource) and not source.ready()

    def _pull(self, source: Iterator[StreamItem]) -> None:
        try:
            self._bulk.add(next(source))
        except StopIteration:
            self._bulk.close()
        self._send(self._bulk.cut())

    def _await_event(self, call: _Call) -> AnnotateStreamResponse | _Ended:
        try:
            return call.next_event(self._resumption.patience())
        except queue.Empty:
            raise self._resumption.silent() from None

    def _handle(self, event: AnnotateStreamResponse | _Ended) -> None:
        if isinstance(event, _Ended):
            self._reopen(event)
            return
        again = self._resumption.answered(self._bulk.take(event))
        self._send(self._bulk.cut())
        if again is not None:
            wait, message = again
            time.sleep(wait)
            self._send(message)

    def _reopen(self, end: _Ended) -> None:
        self._abandon()
        self._link.reconnect(self._resumption.broken(end.failure))
        for message in self._bulk.unanswered():
            self._send(message)

    def _send(self, message: Message | None) -> None:
        if message is None:
            return
        if self._call is None:
            self._call = _Call(self._link.method, self._metadata)
        self._call.send(self._bulk.encode(message))

    def _finish(self) -> None:
        if self._call is not None:
            self._call.finish()
            self._call = None

    def _abandon(self) -> None:
        if self._call is not None:
            self._call.abandon()
            self._call = None
