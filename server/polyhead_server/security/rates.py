"""How much each client may ask for: token buckets, of which each is one number."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import TYPE_CHECKING

from polyhead_server.errors import RateExceededError
from polyhead_server.hosts import bare

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyhead_server.settings import Settings

_MOST_CLIENTS = 10_000
"""Clients that are followed at a time; the one that was quiet for longest goes first."""
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Quota:
    """What one client may use of something."""

    name: str
    unit: str
    rate: float
    """Units a second."""
    burst: float
    """Units at once."""

    @property
    def span(self) -> float:
        """Seconds after which an empty bucket is full."""
        return self.burst / self.rate


class Rates:
    """Follows what clients use.

    A bucket is the time at which it will be full again, so a client that was quiet has none. What
    is larger than a bucket is let in where the bucket is full, and then owed.

    Args:
        calls: quota of calls; None for no bound.
        chars: quota of code points; None for no bound.
        refused: told the name of a quota that refused a call.
        clock: seconds.
        most_clients: clients that are followed at a time.
    """

    def __init__(
        self,
        calls: Quota | None,
        chars: Quota | None,
        *,
        refused: Callable[[str], object] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        most_clients: int = _MOST_CLIENTS,
    ) -> None:
        self._quotas = (calls, chars)
        self._refused = refused
        self._clock = clock
        self._most_clients = most_clients
        self._full_at: OrderedDict[str, list[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, client: str, *, calls: int = 0, chars: int = 0) -> None:
        """Use something now.

        Raises:
            RateExceededError: a bucket does not hold it; nothing was used.
        """
        self._use(client, (calls, chars), 0.0)

    def reserve(self, client: str, *, calls: int = 0, chars: int = 0, within: float) -> float:
        """Use something in turn; the seconds until that turn comes.

        Raises:
            RateExceededError: it would not come within so many seconds; nothing was used.
        """
        return self._use(client, (calls, chars), within)

    def give_back(self, client: str, *, calls: int = 0, chars: int = 0) -> None:
        """Take back what was reserved and will not be used after all."""
        times = self._full_at.get(_holder(client))
        if times is None:
            return
        for index, (quota, units) in enumerate(zip(self._quotas, (calls, chars), strict=True)):
            if quota is not None:
                times[index] -= units / quota.rate

    def _use(self, client: str, used: tuple[int, int], within: float) -> float:
        now = self._clock()
        times = self._times(client, now)
        longest = 0.0
        for quota, units, full_at in zip(self._quotas, used, times, strict=True):
            if quota is not None and units:
                wait = max(0.0, full_at - now) + min(units, quota.burst) / quota.rate - quota.span
                if wait > within + _TINY:
                    self._refused(quota.name)
                    raise RateExceededError(wait, client, quota.unit, quota.rate)
                longest = max(longest, wait)
        for index, (quota, units) in enumerate(zip(self._quotas, used, strict=True)):
            if quota is not None and units:
                times[index] = max(now, times[index]) + units / quota.rate
        return longest if longest > _TINY else 0.0

    def _times(self, client: str, now: float) -> list[float]:
        holder = _holder(client)
        times = self._full_at.get(holder)
        if times is None:
            times = self._full_at[holder] = [now, now]
            if len(self._full_at) > self._most_clients:
                self._full_at.popitem(last=False)
        else:
            self._full_at.move_to_end(holder)
        return times


def _holder(client: str) -> str:
    """Whose quota it is: who has one address of version 6 has a whole network of them."""
    if not client.startswith("["):
        return client
    try:
        return str(IPv6Network((bare(client).partition("%")[0], 64), strict=False))
    except ValueError:
        return client


def make_rates(settings: Settings, refused: Callable[[str], object]) -> Rates | None:
    """The rates that settings ask for; None where they ask for none."""
    calls = chars = None
    if rate := settings.client_rate:
        calls = Quota("client_calls", "calls", rate, settings.client_burst or max(1.0, rate))
    if rate := settings.client_chars_per_second:
        chars = Quota("client_chars", "characters", rate, settings.client_chars_burst or rate)
    return Rates(calls, chars, refused=refused) if calls or chars else None
