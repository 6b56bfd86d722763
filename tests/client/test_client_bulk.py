"""The bookkeeping of streams: whatever the order of events, each item gets one outcome."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhead import InternalError, InvalidArgumentError, Limits, OffsetUnit
from polyhead._bulk import Bulk
from polyhead._bulk_items import BulkOptions
from polyhead.v1 import annotation_service_pb2 as service_pb2

LIMITS = Limits(max_documents=4, max_text_chars=100, max_request_chars=40)


def make(*, ordered=False, limits=LIMITS):
    """A bulk of messages of at most 4 items and 40 characters."""
    options = BulkOptions(
        tasks=("*",),
        offset_unit=OffsetUnit.CODE_POINT,
        request_id="r",
        ordered=ordered,
        silence=1.0,
        max_send_bytes=10_000,
    )
    return Bulk(options, limits)


def answer(message, *, code=0):
    """Answer a message, with annotations or with one error for all."""
    response = service_pb2.AnnotateStreamResponse(offset_unit=1)
    for item in message.items:
        outcome = response.outcomes.add(id=str(item.index))
        if code:
            outcome.error.code = code
        else:
            outcome.annotation.tokens = item.index
    return response


def drain(bulk):
    """Give out all that is ready."""
    return list(iter(bulk.pop, None))


@given(
    sizes=st.lists(st.integers(1, 60), max_size=60),
    ordered=st.booleans(),
    data=st.data(),
)
def test_no_item_is_lost_or_doubled(sizes, ordered, data):
    """Under any interleaving of input, answers, refusals and breaks each item ends once."""
    bulk = make(ordered=ordered)
    source = iter(["x" * size for size in sizes])
    on_the_way, given_out = [], []
    while not bulk.finished:
        given_out += drain(bulk)
        moves = ["add"] * bulk.has_room + ["answer", "refuse", "break"] * bool(on_the_way)
        if not moves:
            continue
        match data.draw(st.sampled_from(moves)):
            case "add":
                document = next(source, None)
                bulk.close() if document is None else bulk.add(document)
            case "answer":
                pick = data.draw(st.integers(0, len(on_the_way) - 1))
                bulk.take(answer(on_the_way.pop(pick)))
            case "refuse":
                refusal = bulk.take(answer(on_the_way.pop(0), code=14))
                if data.draw(st.booleans()):
                    on_the_way.append(bulk.resend(refusal))
                else:
                    bulk.give_up(refusal)
            case "break":
                on_the_way = bulk.unanswered()
        message = bulk.cut()
        if message is not None:
            on_the_way.append(message)
        assert all(len(m.items) <= 4 for m in on_the_way)
        assert all(sum(i.chars for i in m.items) <= 40 or len(m.items) == 1 for m in on_the_way)
    places = [outcome.index for outcome in given_out]
    assert Counter(places) == Counter(range(len(sizes)))
    assert not ordered or places == sorted(places)
    assert on_the_way == []


def test_the_first_item_goes_at_once_and_the_rest_gather():
    """Nothing on its way: send. Something on its way: gather until a message is full."""
    bulk = make()
    cut = []
    for _ in range(6):
        bulk.add("x")
        cut.append(bulk.cut())
    assert [len(message.items) if message else 0 for message in cut] == [1, 0, 0, 0, 4, 0]
    bulk.take(answer(cut[0]))
    assert bulk.cut() is None
    bulk.take(answer(cut[4]))
    assert len(bulk.cut().items) == 1


def test_what_is_on_its_way_is_bounded():
    """There is room for eight messages, in items, until outcomes are given out."""
    bulk = make()
    taken = 0
    while bulk.has_room:
        bulk.add("x")
        bulk.cut()
        taken += 1
    assert taken == 32


def test_large_items_are_bounded_by_their_size():
    """Long documents fill the room sooner; one of any length fits."""
    bulk = make()
    bulk.add("x" * 1000)
    assert len(bulk.cut().items) == 1
    assert not bulk.has_room


def test_in_order_an_early_gap_stops_the_input():
    """Outcomes that wait for an earlier one count as on their way, so memory stays bounded."""
    bulk = make(ordered=True)
    messages = []
    while bulk.has_room:
        bulk.add("x")
        messages.append(bulk.cut())
    first, *others = filter(None, messages)
    for message in others:
        bulk.take(answer(message))
    assert bulk.pop() is None
    assert not bulk.has_room
    bulk.take(answer(first))
    assert [outcome.index for outcome in drain(bulk)][:3] == [0, 1, 2]
    assert bulk.has_room


def test_ids_are_the_callers_and_may_repeat():
    """Items keep the caller's ids, whatever they are; without one the place is the id."""
    bulk = make()
    for item in [("same", "a"), ("same", "b"), "c", ("x" * 999, "d")]:
        bulk.add(item)
    bulk.take(answer(bulk.cut()))
    assert [outcome.id for outcome in drain(bulk)] == ["same", "same", "2", "x" * 999]


@pytest.mark.parametrize("item", ["\ud800", None, 3, ("id", b"x"), ["a", "b"], "y" * 10_000])
def test_an_item_that_cannot_be_sent_is_its_own_failure(item):
    """It becomes an outcome with an error, and nothing is sent."""
    bulk = make()
    bulk.add(item)
    assert bulk.cut() is None
    (outcome,) = drain(bulk)
    assert isinstance(outcome.error, InvalidArgumentError)
    with pytest.raises(InvalidArgumentError):
        outcome.unwrap()


def test_answers_to_nothing_are_refused():
    """An answer whose items were not asked about is an error, not a guess."""
    bulk = make()
    bulk.add("x")
    message = bulk.cut()
    for ids in ([], ["7"], ["0", "1"], ["zero"]):
        response = service_pb2.AnnotateStreamResponse(offset_unit=1)
        for name in ids:
            response.outcomes.add(id=name)
        with pytest.raises(InternalError):
            bulk.take(response)
    assert bulk.take(answer(message)) is None
