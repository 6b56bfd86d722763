"""Bulk streams against a real service: one behaviour of both clients."""

import asyncio
import collections.abc
import itertools
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from polyhead import (
    AsyncClient,
    CallCancelledError,
    Client,
    DeadlineExceededError,
    HttpClient,
    InternalError,
    InvalidArgumentError,
    Limits,
    OverloadedError,
    RetryPolicy,
    UnauthenticatedError,
    UnavailableError,
    Violation,
    Words,
)
from polyhead.testing import serve

TASK = ["sentiment"]
QUICK = RetryPolicy(max_attempts=4, initial_backoff=0.001, max_backoff=0.002)


def texts(count):
    """Give that many texts."""
    return (f"text {number} is great" for number in range(count))


def sent(service):
    """Give the stream messages that the service received."""
    return [call.request for call in service.calls if call.method == "AnnotateStream"]


def test_every_item_gets_its_outcome(client):
    """Each item comes back once, with its id and its annotation."""
    items = [(f"id-{number}", text) for number, text in enumerate(texts(1000))]
    found = client.stream(items, TASK)
    assert sorted(outcome.index for outcome in found) == list(range(1000))
    assert all(outcome.id == f"id-{outcome.index}" for outcome in found)
    assert all(o.unwrap().classification("sentiment").label == "positive" for o in found)


def test_in_order(client):
    """With ordered, outcomes come as the items went in."""
    found = client.stream(texts(500), TASK, ordered=True)
    assert [outcome.index for outcome in found] == list(range(500))


def test_a_stream_may_say_how_urgent_it_is(client, service):
    """The priority goes with every message of a stream."""
    client.stream(texts(200), TASK)
    client.stream(texts(200), TASK, priority="interactive")
    assert {request.priority for request in sent(service)} == {0, 1}
    assert sent(service)[-1].priority == 1


def test_bad_items_do_not_disturb_the_good(client):
    """Items that the client or the server refuses carry their own error."""
    items = ["fine", "", "\ud800", Words(["I", "hate"]), Words([" "]), None]
    found = client.stream(items, TASK, ordered=True)
    assert [outcome.error is None for outcome in found] == [True, False, False, True, False, False]
    assert isinstance(found[1].error, InvalidArgumentError)
    assert found[1].error.violations == (Violation("text", "must hold at least one word"),)
    assert str(found[1].error) == "text: must hold at least one word"
    assert found[2].error.violations[0].field == "text"
    assert found[4].error.violations[0].field == "words.words[0]"
    assert found[3].annotation.classification("sentiment").label == "negative"


def test_an_empty_input(client):
    """No items, no outcomes."""
    assert client.stream([]) == []


def test_messages_keep_the_servers_limits(connect):
    """Messages are cut to what the server says it takes."""
    limits = Limits(max_documents=3, max_text_chars=40, max_request_chars=40)
    with serve(limits=limits) as service:
        found = connect(service.address).stream(texts(50), TASK)
        assert all(outcome.error is None for outcome in found)
        assert max(len(message.items) for message in sent(service)) == 2


def test_an_endless_input_is_read_no_further_than_needed(client):
    """The input is taken lazily, and leaving the stream ends it."""
    numbers = itertools.count()
    found = client.stream((f"text {number}" for number in numbers), TASK, take=10)
    assert len(found) == 10
    assert next(numbers) < 2000


def test_a_held_server_holds_the_input(client, service):
    """While nothing is answered, only a bounded number of items is taken in."""
    taken = 0
    full = threading.Event()

    def source():
        nonlocal taken
        for text in itertools.islice(texts(5000), 5000):
            taken += 1
            if taken == 512:
                full.set()
            yield text

    with ThreadPoolExecutor() as pool:
        with service.hold():
            stream = pool.submit(client.stream, source(), TASK)
            assert full.wait(10)
            service.wait_held(1)
            assert taken == 512
        assert len(stream.result()) == 5000


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_broken_stream_is_resumed(client, service, after):
    """What was unanswered is sent again; nothing is lost, nothing comes twice."""
    service.fail(2, "UNAVAILABLE", after=after)
    found = client.stream(texts(1000), TASK)
    assert sorted(outcome.index for outcome in found) == list(range(1000))
    assert all(outcome.error is None for outcome in found)


def test_a_stream_that_stays_broken_fails(client, service):
    """After the last attempt the iterator raises."""
    service.fail(100, "UNAVAILABLE")
    with pytest.raises(UnavailableError):
        client.stream(texts(10))


def test_a_stream_that_fails_for_good_is_not_resumed(client, service):
    """Failures that no retry helps come through at once."""
    service.fail(1, "INTERNAL")
    with pytest.raises(InternalError):
        client.stream(["x"])
    assert len(sent(service)) == 1


def test_refused_items_are_sent_again(client, service):
    """An item that the server has no room for is tried again when it says."""
    service.fail_items(3, "RESOURCE_EXHAUSTED", retry_after=0.01)
    found = client.stream(texts(20), TASK, ordered=True)
    assert [outcome.index for outcome in found] == list(range(20))
    assert all(outcome.error is None for outcome in found)


def test_items_refused_too_often_say_so(client, service):
    """When the attempts are used up, the item carries the refusal."""
    service.fail_items(100, "RESOURCE_EXHAUSTED", retry_after=0.001)
    (outcome,) = client.stream(["x"], TASK)
    assert isinstance(outcome.error, OverloadedError)
    assert len(sent(service)) == 4


def test_items_with_other_errors_are_not_sent_again(client, service):
    """A fault of one item is its outcome."""
    service.fail_items(1, "INTERNAL")
    found = client.stream(["x", "y"], TASK, ordered=True)
    assert isinstance(found[0].error, InternalError)
    assert found[1].error is None


def test_silence_is_a_deadline(client, service):
    """A server that leaves an answer due for too long fails the stream."""
    with service.hold(), pytest.raises(DeadlineExceededError, match=r"0\.05 seconds"):
        client.stream(texts(3), timeout=0.05)


def test_a_failing_input_is_the_callers_own_error(client):
    """An exception of the input reaches the caller as it is."""

    def source():
        yield "fine"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        client.stream(source())


def test_a_stream_needs_its_token_too(connect):
    """Streams carry the client's metadata, and fail as calls do."""
    with serve(token="t") as service, pytest.raises(UnauthenticatedError):  # noqa: S106
        connect(service.address).stream(["x"])


@pytest.mark.parametrize("mistaken", ["one text", Words(["a"])])
def test_one_document_is_not_a_stream(client, mistaken):
    """A single text given for an iterable is a mistake, seen at the call."""
    with pytest.raises(TypeError, match="several documents"):
        client.stream(mistaken)


def test_arguments_are_checked_at_the_call(service, connect):
    """A bad argument is refused when the stream is made, not when it is read."""
    client = connect(service.address).client
    with pytest.raises(InvalidArgumentError, match="offset_unit"):
        client.annotate_stream([], offset_unit="inch")


async def test_an_async_input_is_answered_while_it_waits(service):
    """Outcomes come while an async input makes one wait for more."""
    got_first = asyncio.Event()

    async def source():
        yield "first"
        await got_first.wait()
        yield "second"

    found = []
    async with AsyncClient(service.address) as client:
        async for outcome in client.annotate_stream(source(), TASK):
            found.append(outcome.index)
            got_first.set()
    assert found == [0, 1]


async def test_a_server_restart_in_mid_stream_loses_nothing():
    """A stream whose server goes and comes back on its port gives every outcome once."""
    with serve() as first:
        async with AsyncClient(first.address) as client:
            stream = client.annotate_stream(texts(3000), TASK)
            found = [(await anext(stream)).index for _ in range(100)]
            first.shutdown()
            with serve(port=first.port):
                found += [outcome.index async for outcome in stream]
    assert sorted(found) == list(range(3000))


async def test_a_stream_that_broke_while_its_reader_was_slow(service):
    """What the input completes while the stream is put away is sent once, with the rest."""
    service.fail(1, "UNAVAILABLE", after=1)
    found = []
    async with AsyncClient(service.address, retry=QUICK) as client:
        async for outcome in client.annotate_stream(texts(3000), TASK):
            if not found:
                await asyncio.sleep(0.3)  # meanwhile the stream breaks
            found.append(outcome.index)
    assert sorted(found) == list(range(3000))


async def test_closing_the_client_ends_its_streams(service):
    """The task that reads and closes is told at once that its stream was cancelled."""
    client = AsyncClient(service.address)
    stream = client.annotate_stream(texts(5000), TASK)
    await anext(stream)
    await client.close()
    with pytest.raises(CallCancelledError) as caught:
        [outcome async for outcome in stream]
    assert caught.value.code == "CANCELLED"
    assert await no_other_task()


def stream_to_its_end(client):
    """Read a stream, as one of the two ways to wait for an answer."""

    async def read():
        return [outcome async for outcome in client.annotate_stream(texts(5000), TASK)]

    return read()


WAYS = pytest.mark.parametrize(
    "start",
    [stream_to_its_end, lambda client: client.annotate("x")],
    ids=["stream", "call"],
)


@WAYS
async def test_another_task_closes_the_client(service, start):
    """Who waits for an answer meanwhile is told so, and was not cancelled itself."""
    client = AsyncClient(service.address)
    with service.hold():
        waiting = asyncio.create_task(start(client))
        await asyncio.to_thread(service.wait_held)
        await client.close()
        with pytest.raises(CallCancelledError, match="the client was closed"):
            await waiting
    assert await no_other_task()


@WAYS
async def test_cancelling_who_waits(service, start):
    """A task that is cancelled while it waits ends as cancelled, and leaves no task."""
    async with AsyncClient(service.address) as client:
        with service.hold():
            waiting = asyncio.create_task(start(client))
            await asyncio.to_thread(service.wait_held)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        assert waiting.cancelled()
        assert await no_other_task()
        assert (await client.annotate("still here")).windows == 1


SLOW = RetryPolicy(max_attempts=4, initial_backoff=1.0, max_backoff=1.0)


@WAYS
async def test_closing_the_client_while_it_waits_to_try_again(service, start):
    """There is no further attempt, and who waits is told why."""
    service.fail(100, "UNAVAILABLE")
    client = AsyncClient(service.address, retry=SLOW)
    waiting = asyncio.create_task(start(client))
    await asyncio.sleep(0.25)
    assert service.calls
    await client.close()
    with pytest.raises(CallCancelledError, match="the client was closed"):
        await waiting
    assert await no_other_task()


@pytest.mark.parametrize(
    "start",
    [lambda client: list(client.annotate_stream(texts(5000), TASK)), lambda c: c.annotate("x")],
    ids=["stream", "call"],
)
def test_closing_a_client_of_another_thread_while_that_waits_to_try_again(service, start):
    """As with tasks."""
    service.fail(100, "UNAVAILABLE")
    client = Client(service.address, retry=SLOW)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(start, client)
        time.sleep(0.25)
        assert service.calls
        client.close()
        with pytest.raises(CallCancelledError, match="the client was closed"):
            waiting.result()


async def no_other_task():
    """Whether every task but this one ends by itself."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return not others or not (await asyncio.wait(others, timeout=10))[1]


@pytest.mark.parametrize(("kind", "close"), [(Client, "close"), (AsyncClient, "aclose")])
def test_a_stream_is_declared_as_what_can_be_closed(service, connect, kind, close):
    """The declared type has what closes the stream, for programs whose types are checked."""
    declared = kind.annotate_stream.__annotations__["return"].partition("[")[0]
    assert callable(getattr(getattr(collections.abc, declared), close))
    assert HttpClient.annotate_stream is Client.annotate_stream
    stream = connect(service.address).client.annotate_stream([])
    assert isinstance(stream, collections.abc.Generator | collections.abc.AsyncGenerator)


def test_tasks_of_a_stream_from_any_iterable(client, service):
    """Names that can be read once only go with every message."""
    client.stream(texts(200), (name for name in TASK))
    assert len(sent(service)) > 1
    assert all(request.tasks == TASK for request in sent(service))


@pytest.mark.parametrize("seconds", [1e10, sys.maxsize])
def test_a_very_long_silence_is_without_end(client, seconds):
    """A time that no clock counts to bounds nothing."""
    assert len(client.stream(texts(3), TASK, timeout=seconds)) == 3


@pytest.mark.parametrize("version", ["\ud800", 3])
def test_a_stream_cannot_name_such_a_version(service, connect, version):
    """A version that no message can carry is refused when the stream is made."""
    with pytest.raises(InvalidArgumentError, match="bundle_version"):
        connect(service.address).client.annotate_stream(["x"], bundle_version=version)
