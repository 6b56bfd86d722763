"""Which entries go first: by deadline and age within a lane, by shares between the lanes."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead_server.lanes import LOOK_AHEAD
from polyhead_server.policy import FairLanes
from polyhead_server.schedule import Call, Entry, Priority

LOOP = asyncio.new_event_loop()
INTERACTIVE, BULK = Priority.INTERACTIVE, Priority.BULK


@pytest.fixture(autouse=True, scope="module")
def _loop():
    yield
    LOOP.close()


class Queue:
    """Two lanes, with a name for each entry."""

    def __init__(self, *, bulk_share=0.25, age_limit=math.inf):
        self.lanes = FairLanes(bulk_share, age_limit)
        self.calls = {}

    def add(self, name, tokens=1, *, deadline=math.inf, priority=INTERACTIVE, now=0.0):
        call = Call(LOOP.create_future(), now, [None], 1, tokens, priority, deadline)
        self.calls[name] = call
        self.lanes.add(call, [Entry(call, 0, name, tokens, now)])

    def cancel(self, name):
        call = self.calls.pop(name)
        call.reply.cancel()
        self.lanes.release(call)

    def cut(self, budget, now=0.0, done_by=-math.inf):
        return [entry.item for entry in self.lanes.cut(budget, now, done_by)]


def test_earliest_deadline_first_then_the_oldest():
    """The most urgent goes first; among the equally urgent whoever came first."""
    queue = Queue()
    for name, deadline in [("late", 9), ("never1", math.inf), ("soon", 3), ("never2", math.inf)]:
        queue.add(name, deadline=deadline)
    assert queue.cut(10) == ["soon", "late", "never1", "never2"]


def test_what_does_not_fit_lets_smaller_ones_pass_and_comes_next():
    """The budget is filled up with later entries, and what was passed over keeps its place."""
    queue = Queue()
    for name, tokens in [("a", 6), ("wide", 6), ("b", 3), ("c", 2), ("d", 1)]:
        queue.add(name, tokens)
    assert queue.cut(10) == ["a", "b", "d"]
    assert queue.cut(10) == ["wide", "c"]


def test_one_larger_than_the_budget_runs_alone():
    """An entry that no batch can hold is a batch."""
    queue = Queue()
    queue.add("huge", 50)
    queue.add("small", 1)
    assert queue.cut(10) == ["huge"]
    assert queue.cut(10) == ["small"]


def test_the_look_ahead_is_bounded():
    """No cut looks at more than some entries that do not fit."""
    queue = Queue()
    queue.add("first", 6)
    for number in range(LOOK_AHEAD):
        queue.add(f"wide{number}", 6)
    queue.add("small", 1)
    assert queue.cut(10) == ["first"]
    assert queue.cut(10) == ["wide0", "small"]


def test_whoever_has_waited_too_long_goes_first():
    """Beyond the age limit the deadline does not count, and nothing smaller passes any more."""
    queue = Queue(age_limit=5.0)
    queue.add("patient", 8, now=0.0)
    queue.add("urgent", 4, deadline=20.0, now=4.0)
    assert queue.cut(8, now=4.5) == ["urgent"]
    queue.add("urgent", 4, deadline=21.0, now=4.6)
    assert queue.cut(8, now=5.0) == ["patient"]


def test_what_expired_or_was_cancelled_is_not_cut():
    """Neither a deadline that has just passed nor a caller that left reaches a batch."""
    queue = Queue()
    queue.add("gone")
    queue.add("late", deadline=7.0)
    queue.add("stays", deadline=7.5)
    queue.cancel("gone")
    assert queue.cut(10, now=7.0) == ["stays"]


def test_what_would_be_late_anyway_comes_last():
    """The engine's time goes to those who can still be served; the others get what is left."""
    queue = Queue()
    for name, deadline in [("hopeless1", 2.0), ("hopeless2", 3.0), ("a", 6.0), ("b", 7.0)]:
        queue.add(name, 4, deadline=deadline)
    assert queue.cut(8, now=1.0, done_by=5.0) == ["a", "b"]
    assert queue.cut(8, now=1.0, done_by=5.0) == ["hopeless2", "hopeless1"]


def test_entries_that_are_gone_do_not_pile_up():
    """Callers that come and go leave nothing behind, in whatever order they leave."""
    queue = Queue()
    queue.add("stays", deadline=99.0)
    for number in range(5000):
        queue.add(number, deadline=10_000 - number)
        if number >= 10:
            queue.cancel(number - 10)
    lane = queue.lanes.lanes[INTERACTIVE]
    assert lane.items == 11
    assert lane.places < 200


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_both_lanes_have_their_shares_while_both_wait(share):
    """Tokens are shared out as was set, whatever the sizes and however much waits."""
    queue = Queue(bulk_share=share)
    names = itertools.count()
    done = Counter()
    for _ in range(400):
        while queue.lanes.lanes[INTERACTIVE].tokens < 400:
            queue.add(("interactive", 5, next(names)), 5)
        while queue.lanes.lanes[BULK].tokens < 400:
            queue.add(("bulk", 13, next(names)), 13, priority=BULK)
        for lane, tokens, _ in queue.cut(100):
            done[lane] += tokens
    assert done["bulk"] / done.total() == pytest.approx(share, abs=0.03)


def test_a_lane_that_is_alone_has_everything():
    """Where one lane is empty the other one fills the batches."""
    for priority in Priority:
        queue = Queue()
        for number in range(20):
            queue.add(number, 10, priority=priority)
        assert len(queue.cut(100)) == 10


def test_nothing_is_saved_up_while_a_lane_is_empty():
    """After a long time alone a lane does not wait longer for it, nor does the other one rule."""
    queue = Queue(bulk_share=0.5)
    for number in range(1000):
        queue.add(number, 10)
        queue.cut(10)
    for number in range(50):
        queue.add(f"i{number}", 10)
        queue.add(f"b{number}", 10, priority=BULK)
    first = queue.cut(400)
    bulk = sum(name[0] == "b" for name in first)
    assert 19 <= bulk <= 21


def test_a_lone_interactive_call_goes_into_the_next_batch():
    """However much bulk work waits, one interactive call is not kept waiting by it."""
    queue = Queue()
    for number in range(1000):
        queue.add(number, 10, priority=BULK)
    for _ in range(20):
        queue.add("me", 10)
        assert "me" in queue.cut(100)


ARRIVALS = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from([math.inf, 1.0, 2.0, 30.0]), st.booleans()),
    max_size=4,
)


@given(
    st.lists(ARRIVALS, min_size=1, max_size=60),
    st.sampled_from([0.1, 0.3, 0.5, 0.8]),
    st.sampled_from([0.0, 501.0, 1e9]),
)
def test_whatever_comes_batches_are_sound_and_nobody_starves(rounds, share, takes):
    """Budgets are kept, no round is idle, nobody is cut twice, and nobody waits on and on."""
    queue = Queue(bulk_share=share, age_limit=3.0)
    added, left = {}, []
    rounds = [*rounds, *[[] for _ in range(400)]]
    for now, arrivals in enumerate(rounds):
        for tokens, seconds, bulk in arrivals:
            name = len(added)
            priority = BULK if bulk else INTERACTIVE
            queue.add(name, tokens, deadline=now + 500 + seconds, priority=priority, now=now)
            added[name] = tokens
        batch = queue.cut(10, now, now + takes)
        assert sum(added[name] for name in batch) <= 10 or len(batch) == 1
        assert batch or queue.lanes.items == 0
        left += batch
    assert sorted(left) == sorted(added)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.1, 0.25, 0.5]))
def test_an_aged_entry_leaves_soon_in_spite_of_urgent_ones(wide, narrow, share):
    """Under a flood of urgent entries in both lanes the oldest one still leaves."""
    queue = Queue(bulk_share=share, age_limit=2.0)
    queue.add("old", wide, priority=BULK, now=0.0)
    for now in range(60):
        for number in range(12):
            queue.add((now, number, 0), narrow, deadline=1000.0, now=now)
            queue.add((now, number, 1), narrow, deadline=1000.0, priority=BULK, now=now)
        if "old" in queue.cut(10, now):
            break
    else:
        pytest.fail("it starved")
    assert now <= 2 + math.ceil(2 / share)


class Asked:
    """A reply slot that counts how often it is asked."""

    times = 0

    def done(self):
        Asked.times += 1
        return False


def test_a_cut_from_a_full_queue_is_bounded_work():
    """What one cut touches does not grow with the queue."""
    queue = Queue()
    for number in range(10_000):
        queue.add(number, 10, deadline=1e6 - number)
        queue.calls[number].reply = Asked()
    assert len(queue.cut(105)) == 10
    assert Asked.times < 300
