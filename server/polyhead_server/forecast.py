"""How long a call would wait: what admission, RetryInfo and the queue-delay metric go by."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polyhead_server.schedule import Priority

if TYPE_CHECKING:
    from polyhead_server.cost import RunCost
    from polyhead_server.schedule import Call
    from polyhead_server.waiting import Waiting

_LEAST_RETRY_SECONDS = 0.01
_MOST_RETRY_SECONDS = 30.0
_NEWEST = 0.1
"""Weight of the newest batch in what is known of how full they are."""
_STEP = 0.1
_LATE_IN = 50
"""Of so many batches with calls that had little time to spare one may have calls that were late."""
_LITTLE_TO_SPARE = 0.8
"""Part of a call's time: one of which that much was expected to be used says by being in time that
forecasts need less of a margin; one that had more to spare says nothing."""
_LEAST_OVERRUN, _FIRST_OVERRUN, _MOST_OVERRUN = 0.5, 1.25, 3.0
"""The first is on the safe side: what comes of a call that is let in shows only when it ends."""
_WAY_BACK = 0.1
"""Part of a call's time that is not the queue's: its answer has still to be written, sent and read.
While too much is asked of a server a shorter queue costs nothing; an answer that is late does."""
_AT_EASE = 0.5
"""Part of a call's time below which nobody looks closer at what it has to wait for."""
_LEAST_BATCH_PART = 4
"""A batch that would take too long shrinks to this part of its tokens at most: tiny batches would
only make everybody wait longer."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much the batcher takes, and how it shares the engine out."""

    batch_tokens: int = 256
    """Tokens in one batch; a larger item runs alone."""
    batch_seconds: float = math.inf
    """Time that one batch should take; a slow engine gets batches of fewer tokens."""
    queue_tokens: int = 65_536
    """Tokens that may wait in a lane; a call beyond that is refused, unless nothing waits there."""
    bulk_tokens: int = 2_048
    """Patient calls enter only while no more than this waits in their lane."""
    bulk_share: float = 0.25
    """Part of the engine that bulk calls have while interactive ones wait too."""
    age_limit: float = 1.0
    """Seconds after which an entry goes first in its lane, whatever the deadlines."""


class Forecast:
    """What is to be expected of a queue.

    Args:
        waiting: the queue.
        cost: what runs of the engine cost.
        bounds: how much is taken, and in what batches.
    """

    def __init__(self, waiting: Waiting[Any, Any], cost: RunCost, bounds: Bounds) -> None:
        self._waiting = waiting
        self._cost = cost
        self._bounds = bounds
        self._batch_tokens = 0.0
        self._overrun = _FIRST_OVERRUN
        self._telling = self._late = False  # calls since the last batch

    def learn_batch(self, tokens: int) -> None:
        """Take into account how full a batch was, and the calls that have ended since the last one.

        What makes calls late makes a whole batch of them late: it counts once, so that a hiccup is
        not taken for the way things are.
        """
        self._batch_tokens += _NEWEST * (tokens - self._batch_tokens)
        if self._telling:
            step = _STEP if self._late else -_STEP / _LATE_IN
            self._overrun = min(max(self._overrun + step, _LEAST_OVERRUN), _MOST_OVERRUN)
        self._telling = self._late = False

    def learn_call(self, call: Call[Any], seconds: float) -> None:
        """Take into account how long a call has taken of which something was expected.

        What is learned is a factor with which nearly all calls that are let in are in time: for
        work beside the engine's, and whatever the cost of runs does not explain.
        """
        if not call.expected:
            return
        time_left = _for_queue(call.deadline - call.entered)
        late = seconds > time_left
        self._late |= late
        self._telling |= late or self._overrun * call.expected > _LITTLE_TO_SPARE * time_left

    def wait_seconds(self) -> float:
        """Expected wait of an interactive call that comes now and has no deadline."""
        interactive = Priority.INTERACTIVE
        return self._seconds(interactive, self._waiting.lane(interactive).tokens)

    def expect(self, tokens: int, priority: Priority, deadline: float) -> tuple[float, float]:
        """How long a call that comes now takes, and by how much it would miss its deadline.

        The second is at most 0 where it would not, and never above 0 while nothing waits in its
        lane, nor before runs of the engine were seen: a forecast that is off must not keep
        everybody out for good.

        Args:
            tokens: of the call.
            priority: its lane.
            deadline: monotonic time.

        Returns:
            Seconds before what is known of overruns, 0 where there is no need to know; and seconds.
        """
        lane = self._waiting.lane(priority)
        if math.isinf(deadline) or not lane.tokens or not self._cost.trusted:
            return 0.0, -math.inf
        now = time.monotonic()
        left = _for_queue(deadline - now)
        most = self._filled_seconds(priority, lane.tokens + tokens)
        if self._overrun * most < left * _AT_EASE:
            return 0.0, -math.inf
        ahead = self._waiting.tokens_before(priority, deadline, now)
        if not ahead:
            return 0.0, -math.inf
        seconds = self._filled_seconds(priority, ahead + tokens)
        return seconds, self._overrun * seconds - left

    def retry_seconds(self, tokens: int, priority: Priority) -> float:
        """Time until a full lane should be half empty, these tokens included."""
        excess = self._waiting.lane(priority).tokens + tokens - self._bounds.queue_tokens // 2
        return bounded_retry(self._seconds(priority, max(excess, 0)))

    def batch(self) -> tuple[int, float]:
        """Tokens of a batch that is cut now, and how long such a batch takes."""
        tokens = self._bounds.batch_tokens
        if not math.isinf(self._bounds.batch_seconds):
            fitting = self._cost.most_tokens(self._bounds.batch_seconds)
            tokens = int(max(min(tokens, fitting), tokens / _LEAST_BATCH_PART, 1))
        return tokens, self._cost.seconds(tokens)

    def _filled_seconds(self, priority: Priority, tokens: int) -> float:
        """Time until the batch is done that holds the last of so many tokens.

        Those that come later fill that batch up, as far as batches have been full lately.
        """
        rest = tokens % self._bounds.batch_tokens
        return self._seconds(priority, tokens + max(0, int(self._batch_tokens) - rest) * bool(rest))

    def _seconds(self, priority: Priority, tokens: int) -> float:
        """Time until so many tokens of a lane are done, the run under way included.

        A lane gets its share at least, and otherwise what the other one leaves.
        """
        batch = self._bounds.batch_tokens
        engines = self._waiting.engines
        own = self._cost.backlog_seconds(tokens, batch) / engines
        beside = self._waiting.tokens_beside(priority)
        other = self._cost.backlog_seconds(beside, batch) / engines
        return self._running_seconds() + min(own + other, own / self._waiting.share(priority))

    def _running_seconds(self) -> float:
        tokens = self._waiting.cut_tokens
        if not tokens:
            return 0.0
        left = self._waiting.cut_at + self._cost.seconds(tokens) - time.monotonic()
        return max(left, 0.0)


def _for_queue(seconds: float) -> float:
    """What the queue may use of a call's time."""
    return seconds * (1 - _WAY_BACK)


def bounded_retry(seconds: float) -> float:
    """A time to come again that is neither at once nor never."""
    return min(max(seconds, _LEAST_RETRY_SECONDS), _MOST_RETRY_SECONDS)
