"""Shares of the sources: counted, the same for the same seed, and in a run that resumes."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mode_runs import check_resume, mode_config

from polyhead_training.config import SourceConfig
from polyhead_training.plan import Course, make_plan
from polyhead_training.sampling import Sampling

SIZES = [400, 100, 25]


def courses():
    """Sources of 160 and 10 batches of ten short texts."""
    return [
        Course(SourceConfig(name, "head", "jsonl"), ["g"] * size, [6] * size)
        for name, size in (("large", 1600), ("small", 100))
    ]


def counts(kind, temperature, part=slice(None)):
    """Steps of each source in a part of the order."""
    order = Sampling(kind, temperature).order(SIZES, random.Random(0))
    found = Counter(order[part])
    return [found[source] for source in range(len(SIZES))]


def test_a_temperature_flattens_the_shares():
    """At 2 they go with the square roots 20, 10, 5; at 1 with the sizes; the sum stays."""
    assert counts("temperature", 2) == [300, 150, 75]
    assert counts("temperature", 1) == SIZES
    assert counts("temperature", 1000) == pytest.approx([175] * 3, abs=1)


def test_annealed_shares_start_proportional_and_end_flat():
    """A tenth of the steps each: at first by size, at last by size to the power 1 / T."""
    first, last = (counts("annealed", 5, part) for part in (slice(52), slice(-53, None)))
    assert first == pytest.approx([52 * size / 525 for size in SIZES], abs=1)
    flat = [size**0.2 for size in SIZES]
    assert last == pytest.approx([53 * size / sum(flat) for size in flat], abs=1)
    assert sum(counts("annealed", 5)) == sum(SIZES)


@given(
    st.lists(st.integers(0, 30), max_size=5),
    st.sampled_from(["temperature", "annealed"]),
    st.floats(1, 50),
)
def test_all_steps_are_shared_out(sizes, kind, temperature):
    """As many as there were, and none to a source that has nothing."""
    order = Sampling(kind, temperature).order(sizes, random.Random(1))
    assert len(order) == sum(sizes)
    assert all(sizes[source] for source in order)


def test_a_small_source_is_met_again_in_other_batches():
    """It runs out and starts anew, shuffled; a large one gives less than all."""
    plan = make_plan(courses(), 60, 0, Sampling("temperature", 1000))
    assert len(plan) == 170
    batches = [step.items for step in plan if step.source == 1]
    assert len(batches) == 85
    seen = Counter(index for items in batches for item in items for index in item.examples)
    assert set(seen) == set(range(100))
    assert set(seen.values()) == {8, 9}
    assert len(set(batches)) > 60
    large = [i for s in plan if s.source == 0 for item in s.items for i in item.examples]
    assert len(large) == len(set(large)) == 850


@pytest.mark.parametrize("kind", ["temperature", "annealed"])
def test_the_plan_is_the_same_for_the_same_seed_only(kind):
    """A resumed run must meet the very same batches."""
    first, again, other = (make_plan(courses(), 60, s, Sampling(kind, 3)) for s in (1, 1, 2))
    assert first == again != other


def test_proportional_sampling_is_the_plan_without_sampling():
    """The default changes nothing."""
    assert make_plan(courses(), 60, 1, Sampling("proportional", 9)) == make_plan(courses(), 60, 1)


def test_a_killed_run_ends_like_an_uninterrupted_one(open_shop, tmp_path):
    """With annealed shares."""
    check_resume(open_shop, mode_config(sampling="annealed", sampling_temperature=5.0), tmp_path)
