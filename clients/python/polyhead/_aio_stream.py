"""Bulk streams of the asynchronous client.

A task takes items in, another reads answers; the generator that the caller iterates decides.
All share one `Bulk`, which needs no lock on one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from polyhead._aio_cancel import failure_of
from polyhead._bulk import Bulk
from polyhead._closed import closed_failure
from polyhead._resume import Resumption

if TYPE_CHECKING:
    from polyhead._aio import AsyncClient
    from polyhead._annotation import Outcome
    from polyhead._bulk_items import BulkOptions, Message, StreamItem
    from polyhead._plans import Planner
    from polyhead.v1.annotation_service_pb2 import AnnotateStreamRequest, AnnotateStreamResponse

_GOODBYE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Answer:
    call: _Call
    response: AnnotateStreamResponse


@dataclass(frozen=True, slots=True)
class _Ended:
    call: _Call
    failure: grpc.RpcError | None


@dataclass(frozen=True, slots=True)
class _Input:
    """The input moved; or it failed."""

    failure: Exception | None = None


_Event: TypeAlias = _Answer | _Ended | _Input


class _Call:
    """One open stream."""

    def __init__(self, client: AsyncClient, metadata: Any, events: asyncio.Queue[_Event]) -> None:
        self._outbox: asyncio.Queue[AnnotateStreamRequest | None] = asyncio.Queue()
        self._events = events
        self._call = client._open_stream(metadata, self._requests())  # noqa: SLF001 - our client
        self._reader = asyncio.create_task(self._read())

    def send(self, request: AnnotateStreamRequest) -> None:
        self._outbox.put_nowait(request)

    async def finish(self) -> None:
        """End in peace: say that no more comes, and let the server end the call."""
        self._outbox.put_nowait(None)
        await asyncio.wait([self._reader], timeout=_GOODBYE_SECONDS)

    async def abandon(self) -> None:
        self._outbox.put_nowait(None)
        self._call.cancel()
        self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _requests(self) -> AsyncIterator[AnnotateStreamRequest]:
        while (request := await self._outbox.get()) is not None:
            yield request

    async def _read(self) -> None:
        try:
            async for response in self._call:
                self._events.put_nowait(_Answer(self, response))
            self._events.put_nowait(_Ended(self, None))
        except grpc.RpcError as failure:
            self._events.put_nowait(_Ended(self, failure))
        except asyncio.CancelledError as cancelled:
            self._events.put_nowait(_Ended(self, failure_of(cancelled)))


def annotate_items(
    client: AsyncClient,
    plans: Planner,
    items: Iterable[StreamItem] | AsyncIterable[StreamItem],
    options: BulkOptions,
) -> AsyncGenerator[Outcome, None]:
    """Give an iterator that does everything when it is asked for the first outcome."""
    source = aiter(items) if isinstance(items, AsyncIterable) else _aiter(iter(items))

    async def run() -> AsyncGenerator[Outcome, None]:
        bundle = await client.list_tasks(timeout=options.silence)
        stream = _Run(client, plans, Bulk(options, bundle.limits), options)
        try:
            stream.start(source)
            async with aclosing(stream.outcomes()) as outcomes:
                async for outcome in outcomes:
                    yield outcome
        finally:
            await stream.stop()

    return run()


async def _aiter(items: Iterable[StreamItem]) -> AsyncIterator[StreamItem]:
    for item in items:
        yield item


class _Run:
    """One bulk stream, over as many calls as it takes."""

    def __init__(
        self, client: AsyncClient, plans: Planner, bulk: Bulk, options: BulkOptions
    ) -> None:
        self._client = client
        self._metadata = plans.call_metadata(options.request_id)
        self._bulk = bulk
        self._resumption = Resumption(plans.retries, bulk, options)
        self._events: asyncio.Queue[_Event] = asyncio.Queue()
        self._room = asyncio.Event()
        self._call: _Call | None = None
        self._resuming = False
        self._feeder: asyncio.Task[None] | None = None

    def start(self, source: AsyncIterator[StreamItem]) -> None:
        self._feeder = asyncio.create_task(self._feed(source))

    async def stop(self) -> None:
        if self._feeder is not None:
            self._feeder.cancel()
            await asyncio.wait([self._feeder])
        await self._abandon()

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        bulk = self._bulk
        while not bulk.finished:
            while (outcome := bulk.pop()) is not None:
                yield outcome
            if bulk.has_room:
                self._room.set()
            if not bulk.finished:
                await self._handle(await self._next_event())
        if self._call is not None:
            await self._call.finish()

    async def _next_event(self) -> _Event:
        patience = self._resumption.patience()
        try:
            async with asyncio.timeout(patience):
                return await self._events.get()
        except TimeoutError:
            raise self._resumption.silent() from None

    async def _handle(self, event: _Event) -> None:
        match event:
            case _Input(failure=Exception() as failure):
                raise failure
            case _Answer(call=call, response=response) if call is self._call:
                again = self._resumption.answered(self._bulk.take(response))
                self._send(self._bulk.cut())
                if again is not None:
                    await asyncio.sleep(again[0])
                    self._send(again[1])
            case _Ended(call=call, failure=broken) if call is self._call:
                await self._reopen(broken)

    async def _reopen(self, failure: grpc.RpcError | None) -> None:
        # Before anything is awaited: what the input completes meanwhile is among the unanswered.
        self._resuming = True
        await self._abandon()
        await asyncio.sleep(self._resumption.broken(failure))
        if self._client.closed:
            self._resumption.broken(closed_failure())  # raises
        self._resuming = False
        for message in self._bulk.unanswered():
            self._send(message)

    async def _feed(self, source: AsyncIterator[StreamItem]) -> None:
        try:
            while True:
                await self._wait_for_room()
                self._bulk.add(await anext(source))
                self._moved()
        except StopAsyncIteration:
            self._bulk.close()
            self._moved()
        except Exception as failure:  # noqa: BLE001 - the caller's own, given back to the caller
            self._events.put_nowait(_Input(failure))

    async def _wait_for_room(self) -> None:
        while not self._bulk.has_room:
            self._room.clear()
            await self._room.wait()

    def _moved(self) -> None:
        """Send what the input completed, and wake the generator where it has to look."""
        message = self._bulk.cut()
        self._send(message)
        if message is not None or self._bulk.has_ready or self._bulk.closed:
            self._events.put_nowait(_Input())

    def _send(self, message: Message | None) -> None:
        """Send a message; while the stream is being resumed it only joins the unanswered."""
        if message is None or self._resuming:
            return
        if self._call is None:
            self._call = _Call(self._client, self._metadata, self._events)
        self._call.send(self._bulk.encode(message))

    async def _abandon(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            await call.abandon()
