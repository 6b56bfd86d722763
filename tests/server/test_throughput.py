"""The learned speed follows the engine."""

from __future__ import annotations

import pytest

from polyhead_server.throughput import Throughput


def test_converges_to_the_speed_of_the_runs():
    """After enough runs of one speed the first guess is forgotten."""
    speed = Throughput()
    for _ in range(200):
        speed.learn(100, 0.01)
    assert speed.tokens_per_second == pytest.approx(10_000, rel=0.01)


@pytest.mark.parametrize(("tokens", "seconds"), [(0, 1.0), (10, 0.0)])
def test_runs_that_say_nothing_change_nothing(tokens, seconds):
    """A run without tokens or without time leaves the estimate as it was."""
    speed = Throughput()
    before = speed.tokens_per_second
    speed.learn(tokens, seconds)
    assert speed.tokens_per_second == before
