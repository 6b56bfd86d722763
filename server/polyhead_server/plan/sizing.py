"""From speed and demand to replicas, cores and price. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from polyhead_server.errors import SettingsError
from polyhead_server.plan.queueing import wait_quantile

_P99 = 0.99
_MOST_REPLICAS = 10_000
_ROUNDING = 1e-9
_MILLION = 1_000_000
_SECONDS_AN_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Speed:
    """What one core does, measured on some machine."""

    run: tuple[float, float, float]
    """Seconds of a run of the encoder: a, b for each token, c for each squared token."""
    path: float
    """Processor seconds that a call of one text takes beside the encoder's."""
    jitter: float
    """Seconds by which the slowest in a hundred calls to an idle server exceed the median one."""
    batch_tokens: int = 192
    """Tokens in one batch of the server."""
    source: str = ""
    """Where it was measured."""

    def run_seconds(self, tokens: float) -> float:
        """Seconds of one run of so many tokens."""
        a, b, c = self.run
        return a + b * tokens + c * tokens * tokens

    def text_seconds(self, tokens: float) -> float:
        """Processor seconds of one text, alone or as its part of a full batch: what takes longer.

        Batches save the fixed part of a run and lose by the square of their length; a plan that
        counts on neither holds at low load and at high.
        """
        full = max(tokens, self.batch_tokens)
        shared = self.run_seconds(full) * tokens / full
        return self.path + max(self.run_seconds(tokens), shared)


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked for."""

    rps: float
    """Texts a second, at the peak, each a call of its own."""
    p99: float
    """Seconds that 99 of 100 calls may take, as the server sees them: no network."""
    length: float
    """Tokens of a text, on average."""
    longest: float
    """Tokens of the longest in a hundred."""
    cores_per_replica: int = 1
    efficiency: float = 0.9
    """What each further core of a replica adds, as a part of what the first one does."""
    headroom: float = 0.25
    """Part of what the replicas can do that the peak leaves free."""
    failures: int = 1
    """Replicas that may be lost at the peak without missing any of this."""
    pooled: bool = True
    """Whether calls go to the replica with the fewest calls, as by the gateway, or to any."""
    variation: float = 0.5
    """Squared coefficient of variation of the texts' service times."""

    def __post_init__(self) -> None:
        bounds = {
            "rps": self.rps > 0,
            "p99": self.p99 > 0,
            "length": self.length >= 1,
            "longest": self.longest >= self.length,
            "cores_per_replica": self.cores_per_replica >= 1,
            "efficiency": 0 < self.efficiency <= 1,
            "headroom": 0 <= self.headroom < 1,
            "failures": self.failures >= 0,
            "variation": self.variation >= 0,
        }
        wrong = [
            f"--{name.replace('_', '-')}: {getattr(self, name):g} is out of range"
            for name, fits in bounds.items()
            if not (fits and math.isfinite(getattr(self, name)))
        ]
        if wrong:
            raise SettingsError(wrong)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the demand needs."""

    replicas: int
    """Those that may be lost included."""
    cores: int
    utilisation: float
    """Of all replicas at the peak."""
    utilisation_after_failures: float
    p99: float
    """Expected seconds at the peak, after the failures."""
    service: float
    """Seconds of an average text on an idle replica."""
    capacity: float
    """Texts a second that all replicas can do, without headroom."""

    def price_per_million(self, price_per_core_hour: float, rps: float) -> float:
        """What a million texts cost where the replicas run all the time at this rate."""
        return self.cores * price_per_core_hour / (rps * _SECONDS_AN_HOUR) * _MILLION


def size(demand: Demand, speed: Speed) -> Plan:
    """The fewest replicas that do.

    Raises:
        SettingsError: no number of them does, since one text alone takes too long.
    """
    faster = 1 + demand.efficiency * (demand.cores_per_replica - 1)
    alone = speed.text_seconds(demand.longest) + speed.jitter
    if alone > demand.p99:
        problem = (
            f"--p99: a text of {demand.longest:g} tokens takes {alone * 1000:.1f} ms with no other "
            "there: give it more time"
        )
        raise SettingsError([problem])
    service = speed.text_seconds(demand.length)
    # One text is one core's work: further cores take further texts, and make none quicker.
    busy = service * demand.cores_per_replica / faster
    load = demand.rps * service / faster
    left = max(1, math.ceil(load / (1 - demand.headroom) - _ROUNDING))
    while left < _MOST_REPLICAS and _p99(demand, busy, left, alone) > demand.p99:
        left += 1
    if left >= _MOST_REPLICAS:
        raise SettingsError([f"--rps: more than {_MOST_REPLICAS} replicas would be needed"])
    replicas = left + demand.failures
    return Plan(
        replicas=replicas,
        cores=replicas * demand.cores_per_replica,
        utilisation=load / replicas,
        utilisation_after_failures=load / left,
        p99=_p99(demand, busy, left, alone),
        service=service,
        capacity=replicas * faster / service,
    )


def _p99(demand: Demand, busy: float, replicas: int, alone: float) -> float:
    """Wait and service of the unlucky: that both are long at once is rare, so it is a bound."""
    together = replicas if demand.pooled else 1
    load = demand.rps * busy * together / replicas
    cores = together * demand.cores_per_replica
    return alone + wait_quantile(cores, load, busy, _P99, demand.variation)
