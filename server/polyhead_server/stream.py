"""One AnnotateStream call: read while there is room, answer in the order in which work is done."""

from __future__ import annotations

import asyncio
import math
import re
from typing import TYPE_CHECKING, cast

import grpc

from polyhead_server import convert
from polyhead_server.calls import on_deadline, told
from polyhead_server.checks import ITEMS, chars, check_count
from polyhead_server.errors import (
    DeadlineExceededError,
    DrainingError,
    InvalidRequestError,
    RequestError,
    Violation,
)
from polyhead_server.offsets import Unit
from polyhead_server.room import Room
from polyhead_server.schedule import Priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead.v1 import annotation_service_pb2 as pb
    from polyhead_server.calls import Call, Calls, Context
    from polyhead_server.encoding import Source
    from polyhead_server.received import Received
    from polyhead_server.rollout.roster import Roster

_MOST_ID_CHARS = 128
_TOLD = 8
"""Times the limit of items that are each told that they are too many. The status of one takes as
much room as a thousand empty items."""
_ITEM = re.compile(r"items\[(\d+)\]")


class Stream:
    """Answers one stream.

    Args:
        context: where messages come from and go to.
        call: the call that it is.
        roster: does the work.
        most_items: items that are held before reading stops.
    """

    def __init__(self, context: Context, call: Call, roster: Roster, *, most_items: int) -> None:
        self._context = context
        self._call = call
        self._roster = roster
        self._deadline = call.deadline(default=math.inf)
        self._room = Room(most_items)
        self._writing = asyncio.Lock()
        self._end: RequestError | None = None
        self._answered = False
        self._reader: asyncio.Task[None] | None = None

    async def run(self, calls: Calls) -> None:
        """Answer until the caller has no more to ask, or something puts an end to it.

        Whatever was read is answered before the stream ends. A gateway that answers in JSON closes
        its array whatever the status, and has passed on another one with the first answer: so it
        is given the error as one more answer, without an id.

        Raises:
            InvalidRequestError: a message was not one, or held no items, or too many.
            DrainingError: the server is shutting down; what was not answered was not read.
            DeadlineExceededError: the time that any call may take is over; likewise.
        """
        over = DeadlineExceededError()
        async with asyncio.TaskGroup() as group:
            self._reader = group.create_task(self._read(group))
            late = on_deadline(self._deadline, lambda: self._stop(over))
            with late, calls.on_drain(lambda: self._stop(DrainingError())):
                await asyncio.wait([self._reader])
        if self._end is not None and self._answered and self._call.for_json:
            await self._write(self._failed(self._end, [""], Unit.CODE_POINT))
        await calls.departure.taken(self._context)
        if self._end is not None:
            raise self._end

    def _stop(self, error: RequestError) -> None:
        """Read no more, and end with this error once everything is answered."""
        self._end = self._end or error
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self, group: asyncio.TaskGroup) -> None:
        while self._end is None:
            await self._room.wait()
            message = await self._context.read()
            if message is grpc.aio.EOF:
                return
            received = cast("Received[pb.AnnotateStreamRequest]", message)
            self._call.received()
            violations = self._unanswerable(received)
            if violations:
                self._end = InvalidRequestError(violations)
            else:
                self._room.take(len(received.message.items))
                group.create_task(self._answer(received))

    def _unanswerable(self, received: Received[pb.AnnotateStreamRequest]) -> Sequence[Violation]:
        """What is wrong with a message that has no items, or more than are worth an answer each."""
        if received.malformed:
            return received.violations
        count, limits = len(received.message.items), self._roster.limits
        if not count:
            return [Violation("items", "must hold at least one")]
        return [*check_count(count, ITEMS, limits)] if count > _TOLD * limits.max_documents else []

    async def _answer(self, received: Received[pb.AnnotateStreamRequest]) -> None:
        response = await self._response(received)
        if response is not None:
            await self._write(response)
        self._room.give(len(received.message.items))

    async def _write(self, response: pb.AnnotateStreamResponse) -> None:
        async with self._writing:
            self._answered = True
            await self._context.write(response)
        self._call.sent()

    def _failed(
        self, error: RequestError, ids: Sequence[str], unit: Unit
    ) -> pb.AnnotateStreamResponse:
        version = self._roster.bundle.version
        return convert.failed_stream_response(error, ids, unit, version, self._call.request_id)

    async def _response(
        self, received: Received[pb.AnnotateStreamRequest]
    ) -> pb.AnnotateStreamResponse | None:
        request = received.message
        ids = [item.id for item in request.items]
        request_id = self._call.request_id
        unit = Unit.CODE_POINT
        try:
            unit = convert.unit_of(request.offset_unit)
            sources = _sources(received)
            await self._call.pace(lambda: _size(sources), self._deadline)
            annotated = await self._roster.annotate_items(
                sources,
                request.tasks,
                deadline=self._deadline,
                priority=convert.priority_of(request.priority, Priority.BULK),
                version=request.bundle_version,
                key=request_id,
            )
            self._call.count(annotated)
            return await self._roster.work(
                annotated.size, lambda: convert.stream_response(annotated, ids, unit, request_id)
            )
        except DrainingError as error:
            self._stop(error)
            return None
        except Exception as error:  # noqa: BLE001 - told, and logged where it is our fault
            return self._failed(told(error), ids, unit)


def _size(sources: Sequence[Source | RequestError | None]) -> int:
    """Code points of those that are documents."""
    return sum(0 if isinstance(source, RequestError) else chars(source) for source in sources)


def _sources(
    received: Received[pb.AnnotateStreamRequest],
) -> list[Source | RequestError | None]:
    """The items' documents, or what is wrong with the items themselves.

    Raises:
        InvalidRequestError: what is wrong concerns all of the items.
    """
    wrong: dict[int, list[Violation]] = {}
    shared = []
    for violation in received.violations:
        match = _ITEM.match(violation.field)
        if match is None:
            shared.append(violation)
        else:
            wrong.setdefault(int(match[1]), []).append(violation)
    if shared:
        raise InvalidRequestError(shared)
    sources: list[Source | RequestError | None] = []
    for index, item in enumerate(received.message.items):
        violations = wrong.get(index, [])
        if len(item.id) > _MOST_ID_CHARS:
            text = f"has {len(item.id)} characters, more than the limit of {_MOST_ID_CHARS}"
            violations.append(Violation(f"items[{index}].id", text))
        sources.append(
            InvalidRequestError(violations) if violations else convert.source_of(item.document)
        )
    return sources
