"""The formulas of waiting lines, against values that are known otherwise."""

from __future__ import annotations

import math
import random

import pytest

from polyhead_server.plan.queueing import erlang_c, wait_quantile


@pytest.mark.parametrize(
    ("servers", "load", "waits"),
    [
        (1, 0.7, 0.7),
        (2, 1.0, 1 / 3),
        (2, 1.5, 9 / 14),
        (3, 2.0, 4 / 9),
        (10, 8.0, 0.409180),
        (1, 1, 1),
    ],
)
def test_erlang_c(servers, load, waits):
    """With one server it is the load, with two 2 r^2 / (1 + r); published tables for ten."""
    assert erlang_c(servers, load) == pytest.approx(waits, abs=1e-5)


def test_many_servers_do_not_overflow():
    """Thousands of servers at nine tenths hardly ever make anybody wait."""
    assert 0 <= erlang_c(5_000, 4_500) < 1e-9


def test_one_exponential_server():
    """In M/M/1 the wait's quantile is ln(load / 0.01) / (mu - lambda)."""
    assert wait_quantile(1, 0.8, 0.01, 0.99) == pytest.approx(math.log(80) / (100 - 80))


def test_nobody_waits_where_nearly_all_servers_are_idle():
    """The 99th percentile is 0 where fewer than one in a hundred have to wait."""
    assert wait_quantile(8, 1.0, 0.01, 0.99) == 0.0


def test_too_much_load_waits_forever():
    """No time is long enough where work comes faster than it is done."""
    assert wait_quantile(4, 4.0, 0.01, 0.99) == math.inf


@pytest.mark.parametrize(("servers", "variation"), [(1, 0.0), (1, 1.0), (3, 0.0), (3, 1.0)])
def test_simulated_queues_agree(servers, variation):
    """A simulation of 100,000 calls has the same 99th percentile, within a fifth."""
    rng = random.Random(1)
    service, load = 1.0, 0.7 * servers
    free, now, waits = [0.0] * servers, 0.0, []
    for _ in range(100_000):
        now += rng.expovariate(load)
        first = min(range(servers), key=free.__getitem__)
        begins = max(now, free[first])
        waits.append(begins - now)
        free[first] = begins + (rng.expovariate(1.0) if variation else service)
    waits.sort()
    expected = wait_quantile(servers, load, service, 0.99, variation)
    assert expected == pytest.approx(waits[len(waits) * 99 // 100], rel=0.2)
