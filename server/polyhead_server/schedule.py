"""What waits for the engine, and which of it goes into the next batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections import deque

Item = TypeVar("Item", bound="Costed")
Output = TypeVar("Output")

_LOOK_AHEAD = 64
"""Entries looked at for one that still fits; bounds the work of one cut."""


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
    outputs: list[Any]
    missing: int
    """Items without output."""
    tokens: int
    """Tokens of the whole call."""
    waiting_tokens: int = 0
    """Tokens of items that wait and still count against the queue."""
    started: float = 0.0
    encode_seconds: float = 0.0
    heads_seconds: float = 0.0
    last_run: object = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class Entry(Generic[Item, Output]):
    """One item that waits."""

    call: Call[Output]
    index: int
    item: Item
    tokens: int

    @property
    def dead(self) -> bool:
        """Whether nobody waits for it: cancelled, expired, failed."""
        return self.call.reply.done()


class Policy(Protocol):
    """Decides what goes into the next batch."""

    def cut(self, waiting: deque[Entry[Any, Any]], budget: int) -> list[Entry[Any, Any]]:
        """Take a batch out of the queue.

        Dead entries may be dropped on the way. The batch holds at most `budget` tokens or a single
        entry, and is empty only where no living entry waits.
        """
        ...


class FirstFit:
    """In order of arrival; what does not fit lets later, smaller entries pass.

    The oldest entry is always taken, so nothing waits for ever.
    """

    def cut(self, waiting: deque[Entry[Any, Any]], budget: int) -> list[Entry[Any, Any]]:
        """Take the oldest entry and all of the next ones that fit beside it."""
        batch: list[Entry[Any, Any]] = []
        passed: list[Entry[Any, Any]] = []
        while waiting and budget > 0 and len(passed) < _LOOK_AHEAD:
            entry = waiting.popleft()
            if entry.dead:
                continue
            if batch and entry.tokens > budget:
                passed.append(entry)
                continue
            batch.append(entry)
            budget -= entry.tokens
        waiting.extendleft(reversed(passed))
        return batch
