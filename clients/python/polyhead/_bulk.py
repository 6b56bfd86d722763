"""The bookkeeping of a bulk stream, without I/O: what was taken in, sent, answered and given out.

On the wire items go by their place in the input, so the caller's ids may repeat and may be long.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any

from polyhead import _convert, _documents
from polyhead._annotation import Outcome, ResponseInfo
from polyhead._bulk_items import BulkOptions, Gathering, Item, Message, Refusal
from polyhead._errors import InternalError, InvalidArgumentError, PolyheadError, Violation
from polyhead._retry import is_transient
from polyhead._status import error_of_status
from polyhead.v1 import annotation_service_pb2 as service_pb2

if TYPE_CHECKING:
    from polyhead._bundle import Limits

STREAM_PATH = "/polyhead.v1.AnnotationService/AnnotateStream"
encode_request = service_pb2.AnnotateStreamRequest.SerializeToString
decode_response = service_pb2.AnnotateStreamResponse.FromString

_MESSAGE_ITEMS = 64
_MESSAGE_CHARS = 64 * 1024
_WINDOW_MESSAGES = 8
_PLACE = re.compile(r"^items\[\d+\]\.document\.?")
_ENVELOPE_BYTES = 4096  # room in a message for all but its documents


class Bulk:
    """Items on their way. Bounded: take in only while there is room. Not safe between threads."""

    def __init__(self, options: BulkOptions, limits: Limits) -> None:
        self._options = options
        self._max_items = max(1, min(_MESSAGE_ITEMS, limits.max_documents))
        self._max_chars = max(1, min(_MESSAGE_CHARS, limits.max_request_chars))
        self._gathering = Gathering()
        self._unanswered: dict[int, Message] = {}
        self._ready: deque[Outcome] = deque()
        self._held: dict[int, Outcome] = {}  # ordered only: waiting for those before them
        self._added = self._given = self._next = 0
        self._chars = 0
        self._closed = False

    @property
    def has_room(self) -> bool:
        """Whether another item may be taken in. A single item of any size fits when idle."""
        within = self._added - self._given < _WINDOW_MESSAGES * self._max_items
        return not self._closed and within and self._chars < _WINDOW_MESSAGES * self._max_chars

    @property
    def closed(self) -> bool:
        """Whether the input has ended."""
        return self._closed

    @property
    def waiting(self) -> bool:
        """Whether an answer is due."""
        return bool(self._unanswered)

    @property
    def has_ready(self) -> bool:
        """Whether an outcome can be given out."""
        return bool(self._ready)

    @property
    def finished(self) -> bool:
        """Whether the input has ended and every outcome was given out."""
        return self._closed and self._given == self._added

    def add(self, raw: Any) -> None:
        """Take in one item; one that cannot be sent becomes an outcome with its error."""
        index, self._added = self._added, self._added + 1
        item_id, document = _split(raw, index)
        try:
            wire = _documents.to_wire(document, "")
            if wire.ByteSize() > self._options.max_send_bytes - _ENVELOPE_BYTES:
                raise _documents.refused("document", "is larger than a message may be")
        except PolyheadError as error:
            self._finish(Outcome(index, item_id, error=error))
            return
        item = Item(index, item_id, wire, _documents.size(wire))
        self._chars += item.chars
        self._gathering.items.append(item)
        self._gathering.chars += item.chars

    def close(self) -> None:
        """Note that the input has ended."""
        self._closed = True

    def cut(self) -> Message | None:
        """Give the gathered items as a message, if it is time to send them.

        It is when they fill a message, when nothing is on its way (so that a slow input is
        answered at once, and a fast one gathers meanwhile), and when no more can come.
        """
        gathering = self._gathering
        full = len(gathering.items) >= self._max_items or gathering.chars >= self._max_chars
        if not gathering.items or not (full or not self._unanswered or not self.has_room):
            return None
        message = Message(self._take_fitting())
        self._unanswered[message.key] = message
        return message

    def _take_fitting(self) -> tuple[Item, ...]:
        """Take all but a last item that would burst the message's bound."""
        gathering = self._gathering
        items = gathering.items
        if gathering.chars > self._max_chars and len(items) > 1:
            last = items.pop()
            self._gathering = Gathering([last], last.chars)
        else:
            self._gathering = Gathering()
        return tuple(items)

    def unanswered(self) -> list[Message]:
        """Give every message without an answer, oldest first, for sending them again."""
        return [self._unanswered[key] for key in sorted(self._unanswered)]

    def encode(self, message: Message) -> service_pb2.AnnotateStreamRequest:
        """Give a message's wire form."""
        items = [
            service_pb2.StreamItem(id=str(i.index), document=i.document) for i in message.items
        ]
        return service_pb2.AnnotateStreamRequest(
            items=items,
            tasks=self._options.tasks,
            offset_unit=_convert.UNIT_TO_WIRE[self._options.offset_unit],
            priority=_convert.PRIORITY_TO_WIRE[self._options.priority],
            bundle_version=self._options.bundle_version,
        )

    def take(self, response: service_pb2.AnnotateStreamResponse) -> Refusal | None:
        """Take in an answer.

        Returns:
            The items that failed in a way that may pass, for `resend` or `give_up`; or None.

        Raises:
            InternalError: It answers nothing that was asked.
        """
        message = self._answered(response)
        info = _convert.read_info(response, self._options.request_id)
        again: list[Item] = []
        last: PolyheadError | None = None
        for item, wire in zip(message.items, response.outcomes, strict=True):
            outcome = _read_outcome(item, wire, info)
            if outcome.error is not None and is_transient(outcome.error):
                again.append(item)
                last = outcome.error
            else:
                self._settle(item, outcome)
        return Refusal(Message(tuple(again), message.attempt + 1), last) if last else None

    def resend(self, refusal: Refusal) -> Message:
        """Put refused items on their way again."""
        self._unanswered[refusal.message.key] = refusal.message
        return refusal.message

    def give_up(self, refusal: Refusal) -> None:
        """Turn refused items into outcomes with their error."""
        for item in refusal.message.items:
            self._settle(item, Outcome(item.index, item.id, error=refusal.error))

    def pop(self) -> Outcome | None:
        """Give out the next outcome, if one is ready."""
        if not self._ready:
            return None
        self._given += 1
        return self._ready.popleft()

    def _answered(self, response: service_pb2.AnnotateStreamResponse) -> Message:
        ids = [outcome.id for outcome in response.outcomes]
        key = int(ids[0]) if ids and ids[0].isdecimal() else -1
        message = self._unanswered.get(key)
        if message is None or ids != [str(item.index) for item in message.items]:
            raise InternalError(
                "the server answered items that it was not asked about",
                code="INTERNAL",
                request_id=self._options.request_id,
            )
        return self._unanswered.pop(key)

    def _settle(self, item: Item, outcome: Outcome) -> None:
        self._chars -= item.chars
        self._finish(outcome)

    def _finish(self, outcome: Outcome) -> None:
        if not self._options.ordered:
            self._ready.append(outcome)
            return
        self._held[outcome.index] = outcome
        while self._next in self._held:
            self._ready.append(self._held.pop(self._next))
            self._next += 1


def _split(raw: Any, index: int) -> tuple[str, Any]:
    match raw:
        case tuple((item_id, document)):
            return str(item_id), document
        case _:
            return str(index), raw


def _read_outcome(item: Item, wire: service_pb2.StreamOutcome, info: ResponseInfo) -> Outcome:
    if wire.HasField("annotation"):
        try:
            annotation = _convert.read_annotation(wire.annotation, info)
        except InternalError as error:
            return Outcome(item.index, item.id, error=error)
        return Outcome(item.index, item.id, annotation=annotation)
    failure = _about_item(error_of_status(wire.error, info.request_id))
    return Outcome(item.index, item.id, error=failure)


def _about_item(error: PolyheadError) -> PolyheadError:
    """Take the item's place in our message, of which the caller knows nothing, out of an error."""
    if not isinstance(error, InvalidArgumentError):
        return error
    violations = [
        Violation(_PLACE.sub("", v.field) or "document", v.description) for v in error.violations
    ]
    return InvalidArgumentError(
        _PLACE.sub("", error.message),
        code=error.code,
        request_id=error.request_id,
        violations=tuple(violations),
    )
