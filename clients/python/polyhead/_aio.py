"""The asynchronous client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc

from polyhead._aio_cancel import failure_of
from polyhead._aio_stream import annotate_items
from polyhead._bulk import STREAM_PATH, decode_response, encode_request
from polyhead._channel import connection
from polyhead._closed import closed_failure
from polyhead._options import TLS, BearerToken, ChannelOptions, OffsetUnit, Priority, RetryPolicy
from polyhead._plans import CallOptions
from polyhead._resume import bulk_options
from polyhead._settings import (
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT,
    check_documents,
    check_items,
    planner,
)
from polyhead._status import joined
from polyhead._steps import Method, Plan, Reply, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
    from types import TracebackType

    from polyhead._annotation import Annotation, Annotations, Outcome
    from polyhead._bulk_items import StreamItem
    from polyhead._bundle import Bundle, Health
    from polyhead._words import Document

T = TypeVar("T")


class AsyncClient:
    """Calls a polyhead server from asyncio; an async context manager.

    Behaves as `Client` does. It belongs to the event loop that is running at its first call.
    Cancelling the awaiting task cancels the call.

    Args:
        target: As in `Client`.
        timeout: As in `Client`.
        retry: As in `Client`.
        tls: As in `Client`.
        token: As in `Client`.
        channel: As in `Client`.

    Raises:
        ValueError: The target cannot be understood, or the token would travel in the clear.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
        tls: TLS | None = None,
        token: str | BearerToken | None = None,
        channel: ChannelOptions | None = None,
    ) -> None:
        self._channel_options = channel or ChannelOptions()
        self._plans = planner(timeout, retry, tls, token, self._channel_options)
        self._connection = connection(target, tls, self._channel_options)
        self._channel: grpc.aio.Channel | None = None
        self._methods: dict[Method, Any] = {}
        self._closed = False

    async def annotate(
        self,
        document: Document,
        tasks: Iterable[str] | None = None,
        *,
        offset_unit: OffsetUnit | str = OffsetUnit.CODE_POINT,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
        request_id: str | None = None,
        priority: Priority | str | None = None,
        bundle_version: str | None = None,
    ) -> Annotation:
        """Annotate one document, as `Client.annotate` does."""
        options = CallOptions(tasks, offset_unit, timeout, request_id, priority, bundle_version)
        return await self._run(self._plans.annotate(document, options))

    async def annotate_many(
        self,
        documents: Sequence[Document],
        tasks: Iterable[str] | None = None,
        *,
        offset_unit: OffsetUnit | str = OffsetUnit.CODE_POINT,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
        request_id: str | None = None,
        priority: Priority | str | None = None,
        bundle_version: str | None = None,
    ) -> Annotations:
        """Annotate documents in one request, as `Client.annotate_many` does."""
        options = CallOptions(tasks, offset_unit, timeout, request_id, priority, bundle_version)
        return await self._run(self._plans.annotate_many(check_documents(documents), options))

    def annotate_stream(
        self,
        items: Iterable[StreamItem] | AsyncIterable[StreamItem],
        tasks: Iterable[str] | None = None,
        *,
        ordered: bool = False,
        offset_unit: OffsetUnit | str = OffsetUnit.CODE_POINT,
        timeout: float | None = None,
        request_id: str | None = None,
        priority: Priority | str | None = None,
        bundle_version: str | None = None,
    ) -> AsyncGenerator[Outcome, None]:
        """Annotate any number of documents, as `Client.annotate_stream` does.

        Items may come from an async iterable too. They are taken in by a task of their own, so
        that outcomes come while the input makes one wait. Close the iterator (`aclose`, or
        `contextlib.aclosing`) when leaving it early.
        """
        options = CallOptions(tasks, offset_unit, timeout, request_id, priority, bundle_version)
        bulk = bulk_options(self._plans, options, ordered=ordered)
        return annotate_items(self, self._plans, check_items(items), bulk)

    async def list_tasks(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
        bundle_version: str | None = None,
    ) -> Bundle:
        """Ask for a bundle, its tasks and the server's limits."""
        return await self._run(self._plans.list_tasks(timeout, bundle_version))

    async def health(self, *, timeout: float | None = None) -> Health:  # noqa: ASYNC109 - as above
        """Ask once whether the server takes calls, as `Client.health` does."""
        return await self._run(self._plans.health(timeout))

    async def wait_ready(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as above
        """Wait until the server takes calls, as `Client.wait_ready` does."""
        await self._run(self._plans.wait_ready(timeout))

    async def close(self) -> None:
        """Close the connection; calls that run fail as cancelled. May be called again."""
        self._closed = True
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def _open(self) -> grpc.aio.Channel:
        """Open the channel at the first call, when a loop is running for it to belong to."""
        if self._closed:
            raise RuntimeError("the client is closed")
        if self._channel is None:
            self._channel = _open_channel(self._connection)
            for method in Method:
                path, encode, decode = method.value
                self._methods[method] = self._channel.unary_unary(path, encode, decode)
        return self._channel

    def _open_stream(self, metadata: Any, requests: Any) -> Any:
        method = self._open().stream_stream(STREAM_PATH, encode_request, decode_response)
        return method(requests, metadata=metadata)

    async def _run(self, plan: Plan[T]) -> T:
        self._open()
        answer: Reply | None = None
        failure: grpc.RpcError | None = None
        while True:
            try:
                step = plan.throw(failure) if failure is not None else plan.send(answer)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            answer = failure = None
            if isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
                continue
            if self.closed:
                failure = closed_failure()
                continue
            call = self._methods[step.method](
                step.request, timeout=step.timeout, metadata=step.metadata
            )
            try:
                message = await call
                around = joined(await call.initial_metadata(), await call.trailing_metadata())
                answer = Reply(message, around)
            except grpc.RpcError as error:
                failure = error
            except asyncio.CancelledError as cancelled:
                failure = failure_of(cancelled)


def _open_channel(where: Any) -> grpc.aio.Channel:
    if where.credentials is None:
        return grpc.aio.insecure_channel(where.target, where.options)
    return grpc.aio.secure_channel(where.target, where.credentials, where.options)
