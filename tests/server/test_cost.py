"""The cost of runs is learned from the runs, and stays sane whatever they are."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polyhead_server.cost import RunCost

LENGTHS = [16, 32, 48, 64, 96, 128, 192]


def taught(runs):
    cost = RunCost()
    for tokens, seconds in runs:
        cost.learn(tokens, seconds)
    return cost


def runs_of(a, b, c, *, count=300, noise=0.0, lengths=LENGTHS):
    chance = random.Random(7)
    for _ in range(count):
        tokens = chance.choice(lengths)
        seconds = a + b * tokens + c * tokens**2
        yield tokens, seconds * (1 + noise * chance.uniform(-1, 1))


@given(
    a=st.floats(0, 0.01),
    b=st.floats(1e-6, 1e-3),
    c=st.floats(0, 1e-6),
)
def test_runs_of_a_law_are_foretold(a, b, c):
    """Whatever the three costs are, what runs take is foretold within some per cent."""
    cost = taught(runs_of(a, b, c))
    for tokens in LENGTHS:
        assert cost.seconds(tokens) == pytest.approx(a + b * tokens + c * tokens**2, rel=0.05)


def test_noise_averages_out():
    """Runs that scatter by a third still give the right cost."""
    cost = taught(runs_of(3e-4, 3e-5, 5e-8, count=600, noise=0.3))
    for tokens in LENGTHS:
        truth = 3e-4 + 3e-5 * tokens + 5e-8 * tokens**2
        assert cost.seconds(tokens) == pytest.approx(truth, rel=0.15)


def test_follows_an_engine_that_slows_down():
    """After a change of pace the older runs are forgotten."""
    cost = taught(runs_of(3e-4, 3e-5, 0))
    for tokens, seconds in runs_of(3e-3, 3e-4, 0, count=700):
        cost.learn(tokens, seconds)
    assert cost.seconds(128) == pytest.approx(3e-3 + 3e-4 * 128, rel=0.05)


def test_runs_of_one_length_leave_the_other_lengths_as_they_were():
    """What says nothing about short runs does not unlearn them, and nothing winds up."""
    cost = taught(runs_of(5e-4, 3e-5, 5e-8))
    for _ in range(20_000):
        cost.learn(192, 5e-4 + 3e-5 * 192 + 5e-8 * 192**2)
    assert cost.seconds(192) == pytest.approx(5e-4 + 3e-5 * 192 + 5e-8 * 192**2, rel=0.02)
    assert cost.seconds(16) == pytest.approx(5e-4 + 3e-5 * 16, rel=0.2)


def test_one_hiccup_is_no_news():
    """A single run that took a thousand times as long moves the forecast little."""
    cost = taught(runs_of(3e-4, 3e-5, 0))
    before = cost.seconds(128)
    cost.learn(128, 1000 * before)
    assert cost.seconds(128) < 2 * before


@given(
    st.lists(
        st.tuples(
            st.integers(-5, 10**7),
            st.floats(allow_nan=True, allow_infinity=True),
        ),
        max_size=60,
    )
)
@example([(69, 1.7e304)])
def test_nonsense_does_no_harm(runs):
    """Whatever is reported, nothing is negative, and all forecasts are finite and ordered."""
    cost = taught(runs)
    assert all(value >= 0 and math.isfinite(value) for value in cost._fit)
    forecasts = [cost.seconds(tokens) for tokens in (0, 1, 16, 512, 100_000)]
    assert forecasts == sorted(forecasts)
    assert all(0 < value < math.inf for value in forecasts)


@given(
    st.lists(st.tuples(st.integers(1, 2048), st.floats(1e-6, 10)), min_size=1, max_size=60),
    st.floats(1e-6, 1.0),
)
def test_the_longest_run_within_a_time_keeps_to_it(runs, seconds):
    """The longest run for a time takes that time, and one a little longer takes more."""
    cost = taught(runs)
    most = cost.most_tokens(seconds)
    if most == 0:
        assert cost.seconds(0) >= seconds
    elif math.isfinite(most):
        assert cost.seconds(most) == pytest.approx(seconds, rel=1e-3)


def test_a_backlog_costs_what_its_runs_cost():
    """Tokens that wait are counted in runs of whole batches and one of what is left."""
    cost = taught(runs_of(1e-3, 1e-5, 0))
    expected = 3 * cost.seconds(100) + cost.seconds(20)
    assert cost.backlog_seconds(320, 100) == pytest.approx(expected)
    assert cost.backlog_seconds(0, 100) == 0


def test_few_runs_are_not_trusted():
    """Nobody is refused for what the first run or two took."""
    cost = RunCost()
    assert not cost.trusted
    cost.learn(16, 0.5)
    assert not cost.trusted
    assert taught(runs_of(0, 1e-5, 0, count=20)).trusted


@pytest.mark.parametrize(("tokens", "seconds"), [(0, 1.0), (10, 0.0), (10, math.nan)])
def test_runs_that_say_nothing_change_nothing(tokens, seconds):
    """A run without tokens or without time leaves the forecast as it was."""
    cost = taught(runs_of(1e-3, 1e-5, 0))
    before = cost._fit
    cost.learn(tokens, seconds)
    assert cost._fit == before
