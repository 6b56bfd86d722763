"""Windows lie behind each other in one batch, each with its number and its own positions."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead_server.encoding import Window
from polyhead_server.packing import (
    FILL_SEGMENT,
    FINE,
    GROWTH,
    ROW,
    STEP,
    ladder,
    ladder_length,
    ladder_of_rows,
    layout,
    one_row,
    pack,
    pack_rows,
)


def window(length: int, first_id: int = 10) -> Window:
    """A window whose ids count up."""
    ids = np.arange(first_id, first_id + length, dtype=np.int32)
    return Window(ids, ids % 7, np.array([1], np.int32), (1, length - 1))


def test_windows_follow_each_other():
    """Ids and shapes are copied; segments number the windows; positions start anew in each."""
    batch = pack([window(3), window(5, 50)])
    assert batch.ids[:8].tolist() == [10, 11, 12, 50, 51, 52, 53, 54]
    assert batch.shapes[:8].tolist() == [3, 4, 5, 1, 2, 3, 4, 5]
    assert batch.segments[:8].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert batch.positions[:8].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert batch.starts == (0, 3)
    assert batch.used == 8


def test_what_fills_a_batch_up_is_no_window():
    """Fill tokens have a segment of their own, so that no window attends to them."""
    batch = pack([window(3)])
    assert len(batch.ids) == STEP
    assert set(batch.segments[3:].tolist()) == {FILL_SEGMENT}


def test_positions_start_at_the_encoders_first():
    """Encoders whose first position is not 0 are given theirs."""
    assert pack([window(3)], 2).positions[:3].tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("tokens", "length"),
    [(1, STEP), (STEP, STEP), (STEP + 1, 2 * STEP), (FINE + 1, FINE + GROWTH * STEP)],
)
def test_lengths_are_steps_of_a_ladder(tokens, length):
    """Fine steps for small batches, coarse ones for large."""
    assert ladder_length(tokens) == length


@given(st.integers(1, 1500), st.integers(1, 1500))
def test_the_ladder_holds_every_batch_up_to_its_limit(tokens, most):
    """What is warmed is what is used: every length of a smaller batch is a rung, in order."""
    rungs = ladder(most)
    assert rungs == sorted(set(rungs))
    assert ladder_length(min(tokens, most)) in rungs
    assert rungs[-1] == ladder_length(most)


@pytest.mark.parametrize("put", [pack, pack_rows])
@given(lengths=st.lists(st.integers(3, 80), min_size=1, max_size=40))
def test_every_window_is_found_again_at_its_start(put, lengths):
    """Nothing of a window is lost or mixed with another's; none lies in two rows."""
    windows = [window(length, 100 * number) for number, length in enumerate(lengths)]
    batch = put(windows)
    row = batch.row or len(batch.ids)
    assert batch.laid_out.shape == (len(batch.ids) // row, row)
    assert len(batch.ids) == ladder_length(len(batch.ids))
    assert np.count_nonzero(batch.segments == FILL_SEGMENT) == len(batch.ids) - batch.used
    assert batch.used == sum(lengths) <= len(batch.ids)
    for number, (start, item) in enumerate(zip(batch.starts, windows, strict=True)):
        end = start + len(item.ids)
        assert batch.ids[start:end].tolist() == item.ids.tolist()
        assert set(batch.segments[start:end].tolist()) == {number}
        assert batch.positions[start:end].tolist() == list(range(len(item.ids)))
        assert start // row == (end - 1) // row


@given(st.lists(st.integers(3, 80), min_size=1, max_size=120))
def test_rows_are_taken_where_they_cost_less(lengths):
    """Never for one batch that would be longer by more than attention is spared."""
    chosen, flat = layout(lengths), one_row(lengths)
    assert chosen.cost <= flat.cost
    assert chosen.row in (ROW, flat.size)
    if chosen.row != flat.size:
        assert chosen.size in ladder_of_rows(sum(lengths))


def test_many_short_windows_lie_in_rows_and_a_long_one_does_not():
    """Twelve of 16 tokens fill three rows; a window longer than a row has the batch's length."""
    assert (layout([16] * 12).size, layout([16] * 12).row) == (192, ROW)
    assert layout([16] * 4).row == 64 == layout([16] * 4).size
    assert layout([70, 16, 16]).row == layout([70, 16, 16]).size == 112
    assert layout([40] * 4).row == layout([40] * 4).size == 160


def test_there_are_few_lengths_however_long_batches_become():
    """Each length in use takes memory; a long batch is filled up by a fifth at most."""
    assert len(ladder(FINE)) == FINE // STEP
    assert len(ladder(FINE * GROWTH**3)) == FINE // STEP + 3 * 12
    lengths = ladder(FINE * GROWTH**3)
    long = itertools.pairwise(length for length in lengths if length >= FINE)
    assert all(after / before <= 1.25 for before, after in long)
