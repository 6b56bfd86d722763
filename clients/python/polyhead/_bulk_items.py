"""What a bulk stream carries: items, the messages that hold them, and what may be refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from polyhead._words import Document

if TYPE_CHECKING:
    from polyhead._errors import PolyheadError
    from polyhead._options import OffsetUnit, Priority
    from polyhead.v1 import document_pb2

StreamItem: TypeAlias = Document | tuple[str, Document]
"""A document, or a pair of the caller's id and a document."""


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """What a bulk stream asks for, and the bounds on its messages.

    Attributes:
        tasks: As on the wire.
        offset_unit: The unit of offsets.
        request_id: The id of the stream.
        ordered: Give outcomes in the order of the input rather than as they come.
        silence: Seconds for which the server may stay silent while an answer is due.
        max_send_bytes: Largest request message.
        priority: How urgent it is. None: the server's default for streams.
        bundle_version: Version of the bundle that is to answer; any where empty.
    """

    tasks: tuple[str, ...]
    offset_unit: OffsetUnit
    request_id: str
    ordered: bool
    silence: float
    max_send_bytes: int
    priority: Priority | None = None
    bundle_version: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A document on its way: its place in the input, the caller's id, its size."""

    index: int
    id: str
    document: document_pb2.Document
    chars: int


@dataclass(frozen=True, slots=True)
class Message:
    """Items sent together.

    Attributes:
        items: The items, at least one.
        attempt: How often these items were sent for their own sake, this time included. Sending
            again because the connection broke does not count.
    """

    items: tuple[Item, ...]
    attempt: int = 1

    @property
    def key(self) -> int:
        """The first item's place, which no other message on its way has."""
        return self.items[0].index


@dataclass(frozen=True, slots=True)
class Refusal:
    """Items of one answer that sending again can help, and what the server said of the last."""

    message: Message
    error: PolyheadError


@dataclass(slots=True)
class Gathering:
    """Items that wait to fill a message."""

    items: list[Item] = field(default_factory=list)
    chars: int = 0
