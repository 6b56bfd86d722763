"""What waits for the engine: calls, and the entries that they are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio

Item = TypeVar("Item", bound="Costed")
Output = TypeVar("Output")


class Priority(IntEnum):
    """The lane in which a call waits. Each has a guaranteed share of the engine."""

    INTERACTIVE = 0
    """Somebody waits for the answer."""
    BULK = 1
    """Much of it, and none of it urgent."""


class Costed(Protocol):
    """A piece of work that knows what it costs."""

    @property
    def tokens(self) -> int:
        """Encoder tokens, at least 1."""
        ...


@dataclass(frozen=True, slots=True)
class Answer(Generic[Output]):
    """What a call gets back."""

    outputs: list[Output]
    """One per item of the call, in its order."""
    queue_seconds: float
    """From entering the queue to the start of the last run."""
    encode_seconds: float
    """Encoder time of every run that held a part of the call."""
    heads_seconds: float
    """Time of the heads in those runs."""


@dataclass(slots=True, eq=False)
class Call(Generic[Output]):
    """One caller's work in the batcher, with its own reply slot."""

    reply: asyncio.Future[Answer[Output]]
    entered: float
    """Monotonic time."""
    outputs: list[Any]
    missing: int
    """Items without output."""
    tokens: int
    """Tokens of the whole call."""
    priority: Priority = Priority.INTERACTIVE
    deadline: float = math.inf
    """Monotonic time after which the answer is of no use."""
    expected: float = 0.0
    """Seconds that it was expected to take when it came; 0 where nobody looked."""
    waiting_tokens: int = 0
    """Tokens of items that wait and still count against the queue."""
    waiting_items: int = 0
    """How many items these are."""
    started: float = 0.0
    encode_seconds: float = 0.0
    heads_seconds: float = 0.0


@dataclass(slots=True, eq=False)
class Entry(Generic[Item, Output]):
    """One item that waits."""

    call: Call[Output]
    index: int
    item: Item
    tokens: int
    since: float = 0.0
    """Monotonic time at which it began to wait."""
    taken: bool = False
    """Whether it has left the queue in a batch."""

    @property
    def dead(self) -> bool:
        """Whether nobody waits for it: cancelled, expired, failed."""
        return self.call.reply.done()

    def gone(self, now: float) -> bool:
        """Whether it must not go into a batch that is cut now."""
        return self.taken or self.call.deadline <= now or self.call.reply.done()
