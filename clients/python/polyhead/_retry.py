"""Which failures are tried again, when, and how often in all. No clock and no I/O of its own."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead._errors import OverloadedError, PolyheadError, UnavailableError

if TYPE_CHECKING:
    from polyhead._options import RetryPolicy

_FIRST_TOKENS = 10.0
_CAPACITY = 100.0
"""A server that falls silent fails at once all calls that were under way to it."""
_EARNED_BY_CALL = 0.1
_COST_OF_RETRY = 1.0


class RetryBudget:
    """Tokens that bound one client's retries, so that many failures do not become many calls.

    Each call earns a tenth of a token, each retry costs one; the budget starts at 10 and holds 100
    at most. Safe to share between threads.
    """

    def __init__(self) -> None:
        self._tokens = _FIRST_TOKENS
        self._lock = threading.Lock()

    def earn(self) -> None:
        """Count one call."""
        with self._lock:
            self._tokens = min(_CAPACITY, self._tokens + _EARNED_BY_CALL)

    def spend(self) -> bool:
        """Pay for one retry, if there is enough."""
        with self._lock:
            if self._tokens < _COST_OF_RETRY:
                return False
            self._tokens -= _COST_OF_RETRY
            return True


@dataclass(frozen=True, slots=True)
class Retries:
    """Decides on retries for every call of one client."""

    policy: RetryPolicy
    budget: RetryBudget

    def delay(self, error: PolyheadError, attempt: int, remaining: float) -> float | None:
        """Seconds to wait before trying again, or None to give up.

        Args:
            error: How the attempt failed.
            attempt: Attempts made, at least 1.
            remaining: Seconds left to the call; infinity where it has no deadline.
        """
        if not is_transient(error) or attempt >= self.policy.max_attempts:
            return None
        wait = _wait(self.policy, attempt)
        if isinstance(error, OverloadedError):
            wait += error.retry_after or 0.0
        if wait >= remaining or not self.budget.spend():
            return None
        return wait


def is_transient(error: PolyheadError) -> bool:
    """Whether sending the same again can help. Safe at any time: annotating changes nothing."""
    if isinstance(error, OverloadedError):
        return error.retry_after is not None
    return isinstance(error, UnavailableError) or _never_begun(error)


def _never_begun(error: PolyheadError) -> bool:
    """Whether a server that shuts down has cancelled a call before its own code saw it.

    Then there is nothing but the bare status; who cancels a call on this side says so.
    """
    return error.code == error.message == "CANCELLED"


def _wait(policy: RetryPolicy, attempt: int) -> float:
    ceiling = min(policy.max_backoff, policy.initial_backoff * 2.0 ** min(attempt - 1, 60))
    # Half of it is certain: all attempts together have to outlast a server that is just going down.
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads load, guards no secret
