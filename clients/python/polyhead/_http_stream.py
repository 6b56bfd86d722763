"""Bulk work over HTTP: what looks like one stream is a call for each message, a few at a time."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeAlias

import grpc

from polyhead._http_failure import TOO_LARGE, HttpFailure
from polyhead.v1 import annotation_service_pb2 as service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Post: TypeAlias = Callable[
        [service_pb2.AnnotateStreamRequest], service_pb2.AnnotateStreamResponse
    ]

_AT_A_TIME = 4


class HttpStream:
    """An open stream, as the bulk code knows them from grpc.

    Args:
        requests: The messages; waits for the next.
        post: Sends one message and gives its answer; raises grpc.RpcError.
        hang_up: Ends what is on its way.
    """

    def __init__(
        self,
        requests: Iterator[service_pb2.AnnotateStreamRequest],
        post: Post,
        hang_up: Callable[[], None],
    ) -> None:
        self._requests = requests
        self._post = post
        self._hang_up = hang_up
        self._taking = threading.Lock()
        self._answers: queue.SimpleQueue[
            service_pb2.AnnotateStreamResponse | grpc.RpcError | None
        ] = queue.SimpleQueue()
        for _ in range(_AT_A_TIME):
            threading.Thread(target=self._work, name="polyhead-http", daemon=True).start()

    def __iter__(self) -> Iterator[service_pb2.AnnotateStreamResponse]:
        ended = 0
        try:
            while ended < _AT_A_TIME:
                answer = self._answers.get()
                if answer is None:
                    ended += 1
                elif isinstance(answer, grpc.RpcError):
                    raise answer
                else:
                    yield answer
        finally:
            self._hang_up()

    def cancel(self) -> None:
        """Give it up."""
        self._hang_up()

    def _work(self) -> None:
        while (request := self._take()) is not None:
            try:
                self._answers.put(answer_of(request, self._post))
            except grpc.RpcError as failure:
                self._answers.put(failure)
                return
        self._answers.put(None)

    def _take(self) -> service_pb2.AnnotateStreamRequest | None:
        with self._taking:
            return next(self._requests, None)


def answer_of(
    request: service_pb2.AnnotateStreamRequest, post: Post
) -> service_pb2.AnnotateStreamResponse:
    """Send a message, in halves where it is larger than the gateway takes.

    A single item that is too large has that as its outcome, and disturbs no other.
    """
    try:
        return post(request)
    except HttpFailure as failure:
        if failure.http_status != TOO_LARGE:
            raise
        if len(request.items) == 1:
            return _refused(request, failure)
    middle = len(request.items) // 2
    first = answer_of(_part(request, slice(None, middle)), post)
    first.outcomes.extend(answer_of(_part(request, slice(middle, None)), post).outcomes)
    return first


def _part(
    request: service_pb2.AnnotateStreamRequest, which: slice
) -> service_pb2.AnnotateStreamRequest:
    """All of a message but some of its items."""
    part = service_pb2.AnnotateStreamRequest()
    part.CopyFrom(request)
    del part.items[:]
    part.items.extend(request.items[which])
    return part


def _refused(
    request: service_pb2.AnnotateStreamRequest, failure: HttpFailure
) -> service_pb2.AnnotateStreamResponse:
    response = service_pb2.AnnotateStreamResponse(offset_unit=request.offset_unit)
    outcome = response.outcomes.add(id=request.items[0].id)
    outcome.error.code = failure.code().value[0]
    outcome.error.message = failure.details()
    return response
