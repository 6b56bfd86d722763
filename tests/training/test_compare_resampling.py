"""Intervals and tests of differences, against results that are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from polyhead_training.resampling import (
    holm,
    interval,
    mcnemar_p,
    randomisation_p,
    resampled_totals,
)


def test_resamples_have_as_many_texts():
    """Each is a draw with replacement; the same seed draws the same."""
    counts = np.ones((50, 2), np.float32)
    counts[:, 1] = np.arange(50)
    totals = resampled_totals(counts, 300, seed=1)
    assert (totals[:, 0] == 50).all()
    assert abs(totals[:, 1].mean() - np.arange(50).sum()) < 30
    assert len(set(totals[:, 1])) > 100
    assert (totals == resampled_totals(counts, 300, seed=1)).all()
    assert (totals != resampled_totals(counts, 300, seed=2)).any()


def test_blocks_change_nothing_but_memory(monkeypatch):
    """Samples are drawn in blocks: their number and shape are as asked."""
    monkeypatch.setattr("polyhead_training.resampling._BLOCK", 70)
    assert resampled_totals(np.ones((10, 3, 2), np.float32), 25, seed=0).shape == (25, 3, 2)


def test_interval_of_an_accuracy():
    """It is near the binomial's: 1.96 standard errors on either side."""
    right = np.zeros((1000, 1), np.float32)
    right[:800] = 1
    low, high = interval(resampled_totals(right, 4000, seed=0)[:, 0] / 1000)
    error = 1.96 * np.sqrt(0.8 * 0.2 / 1000)
    assert low == pytest.approx(0.8 - error, abs=0.004)
    assert high == pytest.approx(0.8 + error, abs=0.004)


def test_interval_where_a_figure_is_not_always_defined():
    """Undefined values are left out; where all are, so is the interval."""
    values = np.array([[0.0, np.nan], [1.0, np.nan], [np.nan, np.nan]])
    low, high = interval(values)
    assert 0 <= low[0] < high[0] <= 1
    assert np.isnan([low[1], high[1]]).all()


def test_randomisation_is_near_the_exact_test():
    """Of all 256 exchanges of eight texts that differ."""
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 3, (8, 2)).astype(np.float32) for _ in range(2))

    def figure(totals):
        return totals[..., 0] / (totals[..., 0] + totals[..., 1] + 1)

    seen = abs(figure(b.sum(0)) - figure(a.sum(0)))
    found = []
    for swap in product([False, True], repeat=8):
        chosen = np.array(swap)[:, None]
        first, second = np.where(chosen, b, a), np.where(chosen, a, b)
        found.append(abs(figure(second.sum(0)) - figure(first.sum(0))) >= seen - 1e-12)
    assert randomisation_p(a, b, figure, 20_000, seed=0) == pytest.approx(np.mean(found), abs=0.02)


def test_randomisation_of_systems_that_are_alike_and_that_are_not():
    """1 for the same answers; the least that so many exchanges can give for all others."""
    a, b = np.zeros((40, 1), np.float32), np.ones((40, 1), np.float32)

    def mean(totals):
        return totals[..., 0] / 40

    assert randomisation_p(a, a, mean, 99, seed=0) == 1
    assert randomisation_p(a, b, mean, 99, seed=0) == pytest.approx(0.01)


def test_mcnemar():
    """The binomial's two tails."""
    assert mcnemar_p(1, 9) == pytest.approx(22 / 1024)
    assert mcnemar_p(9, 1) == pytest.approx(22 / 1024)
    assert mcnemar_p(5, 5) == 1
    assert mcnemar_p(0, 0) == 1
    assert 0 < mcnemar_p(2000, 2300) < 1e-4


def test_holm():
    """The smallest against the level by all, the next by one less, until one fails."""
    assert holm([0.04, 0.01, 0.03, 0.005]) == [False, True, False, True]
    assert holm([0.02, 0.02]) == [True, True]
    assert holm([]) == []
