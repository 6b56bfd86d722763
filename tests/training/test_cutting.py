"""Batches keep to their budget, and hold every item once in the order given."""

from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from polyhead_server.offline import packed
from polyhead_training.cutting import padded

SIZES = st.lists(st.integers(1, 50), max_size=60)


def size(item: int) -> int:
    return item


@given(SIZES, st.integers(1, 60))
def test_packed_batches_are_as_full_as_their_budget_lets_them(sizes, most):
    """An item begins a batch only where the last one had no room for it."""
    batches = list(packed(sizes, size, most))
    assert list(chain(*batches)) == sizes
    assert all(sum(batch) <= most or len(batch) == 1 for batch in batches)
    for batch, after in pairwise(batches):
        assert sum(batch) + after[0] > most


@given(SIZES.map(sorted), st.integers(1, 200))
def test_padded_batches_count_the_padding(sizes, most):
    """Each item counts as much as the longest, which comes last."""
    batches = list(padded(sizes, size, most))
    assert list(chain(*batches)) == sizes
    assert all(len(batch) * batch[-1] <= most or len(batch) == 1 for batch in batches)
    for batch, after in pairwise(batches):
        assert (len(batch) + 1) * after[0] > most
