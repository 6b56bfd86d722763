"""The entries of one priority: in the order of their deadlines, and in that of their coming."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from typing import TYPE_CHECKING, Generic

from polyhead_server.schedule import Item, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.schedule import Call, Entry

    Place = tuple[float, int, Entry[Item, Output]]
    """An entry's deadline, its number among all that came, and the entry."""

LOOK_AHEAD = 64
"""Entries passed over in one cut, at most, for one that still fits: bounds its work."""

_SLACK = 64
"""Places that may be taken up by entries that are gone, beyond as many as are alive."""
_SLOT_SECONDS = 0.02
"""Deadlines are told apart to this when the work before one is added up."""


class Lane(Generic[Item, Output]):
    """Entries that wait, each both in a heap by deadline and in a line by age. Not thread-safe.

    What leaves one of the two is only marked, and dropped from the other when it comes up there.

    Args:
        age_limit: seconds after which an entry goes first, whatever the deadlines.
    """

    def __init__(self, age_limit: float) -> None:
        self.tokens = 0
        """Tokens of the living entries."""
        self.items = 0
        """Number of the living entries."""
        self._age_limit = age_limit
        self._numbers = itertools.count()
        self._by_deadline: list[Place[Item, Output]] = []
        self._by_age: deque[Entry[Item, Output]] = deque()
        self._slots: dict[float, int] = {}

    @property
    def places(self) -> int:
        """Places taken up in memory, those of entries that are gone included."""
        return max(len(self._by_deadline), len(self._by_age))

    def add(self, call: Call[Output], entries: Sequence[Entry[Item, Output]]) -> None:
        """Let a call's entries wait."""
        call.waiting_tokens = call.tokens
        call.waiting_items = len(entries)
        self._count(call, call.tokens, len(entries))
        for entry in entries:
            heapq.heappush(self._by_deadline, (call.deadline, next(self._numbers), entry))
        self._by_age.extend(entries)

    def release(self, call: Call[Output]) -> None:
        """Take a dead call's entries out of the count; they are dropped when they come up."""
        self._count(call, -call.waiting_tokens, -call.waiting_items)
        call.waiting_tokens = call.waiting_items = 0
        self._compact()

    def clear(self) -> None:
        """Drop all entries; they count until their calls are released."""
        self._by_deadline.clear()
        self._by_age.clear()

    def tokens_before(self, deadline: float, now: float) -> int:
        """Tokens that go before a call with this deadline which comes now."""
        if math.isinf(deadline) or self.oldest(now) is not None:
            return self.tokens
        last = _slot(deadline)
        return sum(tokens for slot, tokens in self._slots.items() if slot <= last)

    def oldest(self, now: float) -> Entry[Item, Output] | None:
        """The entry that has waited longest, if that is beyond the limit."""
        line = self._by_age
        while line and line[0].gone(now):
            line.popleft()
        aged = line and now - line[0].since >= self._age_limit
        return line[0] if aged else None

    def turn(self, now: float, done_by: float) -> Turn[Item, Output]:
        """Begin to pick entries for a batch that is cut now and done by then."""
        return Turn(self, self._by_deadline, now, done_by)

    def take(self, entry: Entry[Item, Output]) -> None:
        """Let an entry leave in a batch."""
        call = entry.call
        entry.taken = True
        call.waiting_tokens -= entry.tokens
        call.waiting_items -= 1
        self._count(call, -entry.tokens, -1)

    def settle(self, passed: Sequence[Place[Item, Output]]) -> None:
        """Put back what a turn has passed over."""
        for place in passed:
            heapq.heappush(self._by_deadline, place)
        self._compact()

    def _count(self, call: Call[Output], tokens: int, items: int) -> None:
        self.tokens += tokens
        self.items += items
        slot = _slot(call.deadline)
        left = self._slots.get(slot, 0) + tokens
        if left:
            self._slots[slot] = left
        else:
            self._slots.pop(slot, None)

    def _compact(self) -> None:
        most = 2 * self.items + _SLACK
        if len(self._by_deadline) > most:
            living = [place for place in self._by_deadline if not _left(place[2])]
            self._by_deadline[:] = living
            heapq.heapify(self._by_deadline)
        if len(self._by_age) > most:
            self._by_age = deque(entry for entry in self._by_age if not _left(entry))


class Turn(Generic[Item, Output]):
    """One cut's look at a lane. Room only shrinks in a cut, so what was passed over stays so.

    What would be late anyway comes last: in an overload every entry would otherwise be run just too
    late. It still comes, since the time that a batch takes is only a guess.
    """

    __slots__ = ("_done_by", "_heap", "_hopeless", "_lane", "_now", "_over", "_passed")

    def __init__(
        self,
        lane: Lane[Item, Output],
        heap: list[Place[Item, Output]],
        now: float,
        done_by: float,
    ) -> None:
        self._lane = lane
        self._heap = heap
        self._now = now
        self._done_by = done_by
        self._passed: list[Place[Item, Output]] = []
        self._hopeless: list[Place[Item, Output]] = []
        self._over = False

    def pick(self, room: int, *, first: bool) -> Entry[Item, Output] | None:
        """Take the next entry that has room in the batch; the first one may have any size.

        One beyond the age limit lets none pass: where it has no room, the lane's turn is over, and
        what the lane did not use of its share brings it to the front of a later batch.
        """
        if self._over:
            return None
        entry = self._lane.oldest(self._now)
        if entry is None:
            entry = self._most_urgent(room, first=first)
        elif not first and entry.tokens > room:
            entry = None
        if entry is None:
            self._over = True
        else:
            self._lane.take(entry)
        return entry

    def end(self) -> None:
        """Put back what was passed over."""
        self._lane.settle(self._passed + self._hopeless)

    def _most_urgent(self, room: int, *, first: bool) -> Entry[Item, Output] | None:
        while self._heap and len(self._passed) + len(self._hopeless) < LOOK_AHEAD:
            place = heapq.heappop(self._heap)
            entry = place[2]
            if entry.gone(self._now):
                continue
            if place[0] < self._done_by:
                self._hopeless.append(place)
            elif first or entry.tokens <= room:
                return entry
            else:
                self._passed.append(place)
        return self._least_hopeless(room, first=first)

    def _least_hopeless(self, room: int, *, first: bool) -> Entry[Item, Output] | None:
        for index in reversed(range(len(self._hopeless))):
            entry = self._hopeless[index][2]
            if first or entry.tokens <= room:
                del self._hopeless[index]
                return entry
        return None


def _left(entry: Entry[Item, Output]) -> bool:
    return entry.taken or entry.dead


def _slot(deadline: float) -> float:
    return deadline if math.isinf(deadline) else float(int(deadline / _SLOT_SECONDS))
