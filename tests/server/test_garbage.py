"""What a bundle consists of is not looked through for garbage, and garbage is found still."""

from __future__ import annotations

import gc
import weakref

import pytest

from polyhead_server.garbage import return_memory, seldom_collect


@pytest.fixture(autouse=True)
def _as_before():
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Ring:
    """Something that only a collection can free."""

    def __init__(self):
        self.own = self


def is_visited(one):
    return any(other is one for other in gc.get_objects())


def test_what_is_in_use_is_not_visited_again():
    """It is set aside, and so is what comes later once it is asked for again."""
    ring = Ring()
    assert is_visited(ring)
    return_memory()
    assert not is_visited(ring)
    later = Ring()
    assert is_visited(later)
    return_memory()
    assert not is_visited(ring)
    assert not is_visited(later)


def test_a_bundle_that_was_set_aside_is_freed_once_it_is_retired():
    """A cycle that was in use at the first call is garbage at the second."""
    ring = Ring()
    gone = weakref.ref(ring)
    return_memory()
    del ring
    gc.collect()
    assert gone() is not None
    return_memory()
    assert gone() is None


def test_young_objects_are_looked_at_less_often():
    """Less often than Python does by itself, and still."""
    gc.set_threshold(700, 10, 10)
    seldom_collect()
    assert gc.get_threshold() > (700, 10, 10)
    gc.collect()
    before = gc.get_stats()[0]["collections"]
    kept = [Ring() for _ in range(10_000)]
    assert gc.get_stats()[0]["collections"] > before, len(kept)
