"""The cost of adjacent spans is the log odds that the training data show."""

import math

import pytest

from polyhead_training.adjacency import adjacent_cost


def test_the_cost_is_the_smoothed_log_odds():
    """Three words go on with a span, one begins another of the same label."""
    tags = [("B-X", "I-X", "I-X", "B-X", "I-X", "O"), ("O", "B-X", "B-Y")]
    assert adjacent_cost(tags) == pytest.approx(math.log(3.5 / 1.5))


@pytest.mark.parametrize("tags", [[], [("O", "O")], [("B-X", "B-X", "B-X")]])
def test_the_cost_is_never_negative(tags):
    """Without spans side by side, or with nothing but them, adjacency is free."""
    assert adjacent_cost(tags) == 0.0
