"""The order of training is fixed by the seed, complete, and within the budget."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_data import HEADS, toy_config

from polyhead_training.config import AugmentConfig, SourceConfig
from polyhead_training.fit import _plan
from polyhead_training.plan import Course, make_plan


def course(lengths, passes: float = 1.0, join: float = 0.0, groups=None, name: str = "a") -> Course:
    """A source of texts of the given lengths."""
    config = SourceConfig(name, "head", "jsonl", passes=passes, augment=AugmentConfig(join=join))
    return Course(config, groups or ["g"] * len(lengths), lengths)


def seen(plan, source: int = 0) -> Counter[int]:
    """How often each example is met."""
    items = [item for step in plan if step.source == source for item in step.items]
    return Counter(index for item in items for index in item.examples)


sizes = st.lists(st.integers(1, 60), min_size=1, max_size=80)


@given(sizes, st.integers(1, 4), st.floats(0, 1), st.integers(0, 99))
def test_every_pass_meets_every_example_once(lengths, passes, join, seed):
    """Whatever is joined, nothing is left out and nothing comes twice in a pass."""
    plan = make_plan([course(lengths, passes, join)], 64, seed)
    assert seen(plan) == dict.fromkeys(range(len(lengths)), passes)


@given(sizes, st.integers(16, 200), st.integers(0, 99))
def test_padded_batches_keep_to_the_budget(lengths, budget, seed):
    """Only a text that is longer by itself goes over, and goes alone."""
    for step in make_plan([course(lengths, 2)], budget, seed):
        longest = max(item.length for item in step.items)
        assert len(step.items) * longest <= budget or len(step.items) == 1


def test_a_plan_is_the_same_for_the_same_seed_only():
    """A resumed run must meet the very same batches."""
    courses = [course(list(range(1, 40)), 2, 0.3), course(list(range(5, 30)), name="b")]
    assert make_plan(courses, 64, 1) == make_plan(courses, 64, 1)
    assert make_plan(courses, 64, 1) != make_plan(courses, 64, 2)


def test_a_broken_pass_takes_part_of_the_examples():
    """Two and a half passes meet half of the examples a third time."""
    plan = make_plan([course([5] * 40, 2.5)], 64, 0)
    assert Counter(seen(plan).values()) == {2: 20, 3: 20}


def test_no_source_is_passed_over():
    """However small a part of it is asked for."""
    assert seen(make_plan([course([5] * 40, 0.001)], 64, 0)).total() == 1


def test_sources_are_mixed():
    """Neither of two sources waits for the end of the other."""
    plan = make_plan([course([8] * 200), course([8] * 200, name="b")], 64, 0)
    sources = [step.source for step in plan]
    assert set(sources[: len(sources) // 3]) == {0, 1} == set(sources[-len(sources) // 3 :])


@pytest.mark.parametrize(("join", "most"), [(0.0, 1), (1.0, 3)])
def test_joined_examples_are_neighbours(join, most):
    """At most three, in order, and never none."""
    items = [i for step in make_plan([course([4] * 30, 1, join)], 64, 0) for i in step.items]
    assert max(len(item.examples) for item in items) == most
    for item in items:
        first = item.examples[0]
        assert item.examples == tuple(range(first, first + len(item.examples)))
        assert item.length == 4 * len(item.examples)


def test_examples_of_different_documents_are_never_joined():
    """A text does not go on from one document into the next."""
    groups = [str(index // 2) for index in range(20)]
    items = [i for s in make_plan([course([4] * 20, 1, 1.0, groups)], 64, 0) for i in s.items]
    assert all(len({groups[index] for index in item.examples}) == 1 for item in items)
    assert any(len(item.examples) == 2 for item in items)


def test_a_source_without_examples_has_no_steps():
    """It is there to be measured only."""
    assert make_plan([course([], 3)], 64, 0) == []


LONG = """
[[sources]]
name = "texts"
head = "mood"
format = "jsonl"
train = "long/train.jsonl"

[[sources]]
name = "words"
head = "names"
format = "conll"
train = "long/train.conll"
"""


def test_of_a_long_text_with_one_label_the_first_window_counts(open_shop, toy_data):
    """Nothing else of it is read; a text that fits counts as it is, and all words with tags do."""
    folder = toy_data / "long"
    folder.mkdir(exist_ok=True)
    rows = [{"text": "good " * count, "label": "good"} for count in (5, 30, 300)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "train.conll").write_text("good O\n" * 300)
    heads = "[[heads]]".join(HEADS.split("[[heads]]")[:3])
    shop = open_shop(toy_config(heads, LONG))
    plan = _plan(shop)
    lengths = [{i.length for s in plan if s.source == n for i in s.items} for n in range(2)]
    assert lengths == [{5, 30}, {300}]
