"""Which entries go into the next batch: two lanes, each with its share, by deadline within each.

Shares are kept as by start-time fair queueing (Goyal, Vin and Cheng, 1996): each lane has a clock
that runs ahead by what it used of the engine, divided by its share, and the lane whose clock is
behind picks next. A lane that was empty starts at the time of the others, so that nothing can be
saved up, and a lane that is alone gets everything.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Generic

from polyhead_server.lanes import Lane
from polyhead_server.schedule import Item, Output, Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyhead_server.lanes import Turn
    from polyhead_server.schedule import Call, Entry


class FairLanes(Generic[Item, Output]):
    """The lanes, and the order in which batches are cut from them. Not thread-safe.

    Args:
        bulk_share: part of the engine that bulk work has while both lanes wait, from 0 to 1.
        age_limit: seconds after which an entry goes first in its lane, whatever the deadlines.
        price: what an entry of so many tokens costs the engine, above 0.
    """

    def __init__(
        self, bulk_share: float, age_limit: float, price: Callable[[int], float] = float
    ) -> None:
        self.lanes: tuple[Lane[Item, Output], ...] = tuple(Lane(age_limit) for _ in Priority)
        self.shares = (1.0 - bulk_share, bulk_share)
        self._price = price
        self._clocks = [0.0 for _ in Priority]
        self._time = 0.0

    @property
    def items(self) -> int:
        """Living entries that wait."""
        return sum(lane.items for lane in self.lanes)

    @property
    def tokens(self) -> int:
        """Their tokens."""
        return sum(lane.tokens for lane in self.lanes)

    def add(self, call: Call[Output], entries: Sequence[Entry[Item, Output]]) -> None:
        """Let a call's entries wait in its lane."""
        lane = self.lanes[call.priority]
        if lane.items == 0:
            self._clocks[call.priority] = self._starting_time(call.priority)
        lane.add(call, entries)

    def release(self, call: Call[Output]) -> None:
        """Take a dead call's entries out of the count."""
        self.lanes[call.priority].release(call)

    def clear(self) -> None:
        """Drop all entries; they count until their calls are released."""
        for lane in self.lanes:
            lane.clear()

    def cut(self, budget: int, now: float, done_by: float = -math.inf) -> list[Entry[Item, Output]]:
        """Take a batch out of the lanes.

        It holds at most `budget` tokens or a single entry, and is empty only where no living entry
        waits.

        Args:
            budget: tokens.
            now: monotonic time; what expires by then does not go into the batch.
            done_by: when the batch is expected to be done; what expires by then comes last.
        """
        turns = [lane.turn(now, done_by) for lane in self.lanes]
        batch: list[Entry[Item, Output]] = []
        room = budget
        while room > 0 and (entry := self._pick(turns, room, first=not batch)) is not None:
            batch.append(entry)
            room -= entry.tokens
        for turn in turns:
            turn.end()
        return batch

    def _starting_time(self, priority: Priority) -> float:
        """Where the clock of a lane that was empty stands; bulk work comes no earlier than others.

        So an interactive call that comes with or before it is not kept waiting for its first batch.
        """
        now = self._time if priority is Priority.INTERACTIVE else max(self._clocks)
        return max(self._clocks[priority], now)

    def _pick(
        self, turns: Sequence[Turn[Item, Output]], room: int, *, first: bool
    ) -> Entry[Item, Output] | None:
        """The next entry of the lane that is behind, or else of the other."""
        for number in self._order():
            entry = turns[number].pick(room, first=first)
            if entry is not None:
                self._charge(number, entry.tokens)
                return entry
        return None

    def _order(self) -> tuple[int, int]:
        interactive, bulk = self._clocks
        return (0, 1) if interactive <= bulk else (1, 0)

    def _charge(self, number: int, tokens: int) -> None:
        self._time = self._clocks[number]
        self._clocks[number] += self._price(tokens) / self.shares[number]
