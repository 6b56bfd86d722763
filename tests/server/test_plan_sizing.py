"""From demand to replicas: enough, no more than enough, and told where there can be no plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from polyhead_server.errors import SettingsError
from polyhead_server.plan.sizing import Demand, Speed, size

SPEED = Speed(run=(0.001, 0.0001, 0.0), path=0.001, jitter=0.002, batch_tokens=100)
DEMAND = Demand(rps=100, p99=0.1, length=30, longest=60, headroom=0.25, failures=1)


def test_a_text_costs_what_it_does_alone_or_in_a_batch():
    """The dearer of the two: here alone, since runs have a fixed part; there full, for squares."""
    assert SPEED.text_seconds(30) == pytest.approx(0.001 + 0.001 + 0.003)
    squares = replace(SPEED, run=(0.0, 0.0, 1e-6))
    assert squares.text_seconds(10) == pytest.approx(0.001 + 1e-6 * 100 * 100 / 10)


def test_headroom_and_a_spare_one():
    """100 texts a second of 5 ms are half a core: one replica, and one that may be lost."""
    plan = size(DEMAND, SPEED)
    assert (plan.replicas, plan.cores) == (2, 2)
    assert plan.utilisation_after_failures == pytest.approx(0.5)
    assert plan.capacity == pytest.approx(400)
    assert size(replace(DEMAND, rps=160), SPEED).replicas == 3  # 0.8 is beyond the headroom


def test_a_tight_p99_takes_more_replicas():
    """Where nearly no wait is allowed, utilisation has to be low."""
    assert (
        size(replace(DEMAND, rps=600, p99=0.0105), SPEED).replicas
        > size(replace(DEMAND, rps=600), SPEED).replicas
    )
    assert size(replace(DEMAND, rps=600, p99=0.0105), SPEED).p99 <= 0.0105


def test_unpooled_replicas_are_lines_of_their_own():
    """Calls to any replica, whether it is busy or not, wait longer at the same utilisation."""
    pooled = size(replace(DEMAND, rps=1000), SPEED)
    assert size(replace(DEMAND, rps=1000, pooled=False), SPEED).p99 > pooled.p99


def test_more_load_never_needs_less():
    """Replicas grow with the load."""
    found = [size(replace(DEMAND, rps=rps), SPEED).replicas for rps in (1, 10, 100, 1000, 10_000)]
    assert found == sorted(found)


def test_further_cores_make_no_text_quicker():
    """A text is the work of one core: larger replicas do more of them, and each takes as long."""
    one, four = (size(replace(DEMAND, cores_per_replica=n, efficiency=1.0), SPEED) for n in (1, 4))
    assert four.service == one.service == pytest.approx(0.005)
    assert four.p99 >= 0.01  # the longest text and the jitter
    assert four.capacity == pytest.approx(4 * one.capacity)
    with pytest.raises(SettingsError):
        size(replace(DEMAND, p99=0.009, cores_per_replica=64), SPEED)


def test_as_many_cores_in_fewer_replicas():
    """Four cores in one replica wait as four replicas of one do, behind one line."""
    demand = replace(DEMAND, rps=600, efficiency=1.0, failures=0)
    one, four = (size(replace(demand, cores_per_replica=n), SPEED) for n in (1, 4))
    assert (one.replicas, four.replicas) == (4, 1)
    assert four.p99 == pytest.approx(one.p99)
    assert four.utilisation == pytest.approx(one.utilisation)


def test_price():
    """Two cores at 0.05 an hour for 100 texts a second: 0.1 for 360,000 texts."""
    assert size(DEMAND, SPEED).price_per_million(0.05, 100) == pytest.approx(0.1 / 0.36)


def test_what_cannot_be_is_told():
    """A text that takes too long with no other there, and numbers out of range."""
    with pytest.raises(SettingsError) as refused:
        size(replace(DEMAND, p99=0.005), SPEED)
    assert "a text of 60 tokens takes 10.0 ms" in refused.value.problems[0]
    with pytest.raises(SettingsError) as refused:
        replace(DEMAND, rps=0, headroom=1.0)
    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "--rps",
        "--headroom",
    ]
