"""Waiting lines: how long the unlucky wait, from utilisation and service times alone."""

from __future__ import annotations

import math


def erlang_c(servers: int, load: float) -> float:
    """The probability of having to wait in an M/M/c queue (Erlang C).

    Args:
        servers: c, at least 1.
        load: arrival rate times mean service time, in servers' worth of work.

    Returns:
        From 0 to 1; 1 where the load is more than the servers can do.
    """
    if load >= servers:
        return 1.0
    blocked = 1.0  # Erlang B, by its recursion, which does not overflow
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def wait_quantile(
    servers: int, load: float, service: float, quantile: float, variation: float = 1.0
) -> float:
    """How long the wait before service is at most, for a part of all arrivals.

    M/G/c: who waits at all is taken from M/M/c, and the tail of the wait, which is exponential
    there, is stretched by the variation of service (Allen and Cunneen).

    Args:
        servers: c.
        load: arrival rate times mean service time.
        service: mean seconds of service.
        quantile: part of arrivals that wait no longer, below 1.
        variation: squared coefficient of variation of service: 0 where all are alike, 1 where they
            are exponential.

    Returns:
        Seconds; infinity where the load is more than the servers can do.
    """
    if load >= servers:
        return math.inf
    waiting = erlang_c(servers, load)
    unlucky = 1.0 - quantile
    if waiting <= unlucky:
        return 0.0
    mean = service * (1.0 + variation) / 2 / (servers - load)
    return mean * math.log(waiting / unlucky)
