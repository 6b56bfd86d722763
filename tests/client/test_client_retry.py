"""Retries: which failures, how often, and at whose cost."""

import math
import threading
import time
from contextlib import ExitStack, closing

import pytest
from door import Door

from polyhead import (
    DeadlineExceededError,
    InternalError,
    OverloadedError,
    PolyheadError,
    RetryPolicy,
    UnavailableError,
)
from polyhead._retry import Retries, RetryBudget
from polyhead.testing import serve

UNAVAILABLE = UnavailableError("gone", code="UNAVAILABLE")


def retries(**policy):
    """Retries with a full budget."""
    return Retries(RetryPolicy(**policy), RetryBudget())


def test_the_wait_grows_with_equal_jitter():
    """Waits are drawn from the upper half below a ceiling that doubles up to its bound."""
    for attempt, ceiling in enumerate((1.0, 2.0, 4.0, 4.0), start=1):
        waits = [
            retries(max_attempts=9, initial_backoff=1.0, max_backoff=4.0).delay(
                UNAVAILABLE, attempt, math.inf
            )
            for _ in range(300)
        ]
        assert all(ceiling / 2 <= wait <= ceiling for wait in waits)
        assert max(waits) > 0.95 * ceiling
        assert min(waits) < 0.55 * ceiling


def test_attempts_are_bounded():
    """The last attempt is the last."""
    assert retries(max_attempts=3).delay(UNAVAILABLE, 2, math.inf) is not None
    assert retries(max_attempts=3).delay(UNAVAILABLE, 3, math.inf) is None


def test_the_server_is_given_the_time_it_asks_for():
    """An overloaded server's RetryInfo is a floor under the wait; without it there is none."""
    told = OverloadedError("full", retry_after=3.0)
    assert retries().delay(told, 1, math.inf) >= 3.0
    assert retries().delay(told, 1, 2.0) is None
    assert retries().delay(OverloadedError("full"), 1, math.inf) is None


def test_other_failures_are_final():
    """Only what may pass is tried again."""
    for error in (InternalError("x", code="INTERNAL"), DeadlineExceededError("x", code="D")):
        assert retries().delay(error, 1, math.inf) is None


def test_the_budget_is_shared_and_earned_back():
    """Ten retries empty it at first; ten calls earn one more, and it saves up to a hundred."""
    budget = RetryBudget()
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(9):
        budget.earn()
    assert not budget.spend()
    budget.earn()
    budget.earn()
    assert budget.spend()
    for _ in range(2000):
        budget.earn()
    assert sum(budget.spend() for _ in range(200)) == 100


@pytest.mark.parametrize(
    ("message", "again"), [("CANCELLED", True), ("Locally cancelled by application!", False)]
)
def test_calls_that_a_stopping_server_never_began_are_sent_again(message, again):
    """They come back with a bare CANCELLED; what was cancelled on this side does not."""
    error = PolyheadError(message, code="CANCELLED")
    assert (retries().delay(error, 1, 10.0) is not None) is again


def test_a_wait_beyond_the_deadline_costs_nothing():
    """A retry that cannot be made is not paid for."""
    kept = retries()
    for _ in range(20):
        assert kept.delay(OverloadedError("full", retry_after=9), 1, 1.0) is None
    assert kept.budget.spend()


@pytest.mark.parametrize(
    "values",
    [{"max_attempts": 0}, {"initial_backoff": 0}, {"initial_backoff": 2, "max_backoff": 1}],
)
def test_a_policy_is_checked(values):
    """A policy that makes no sense is refused."""
    with pytest.raises(ValueError, match=r"attempts|backoff"):
        RetryPolicy(**values)


@pytest.mark.parametrize("failures", [1, 3])
def test_a_call_outlives_a_short_failure(client, service, failures):
    """UNAVAILABLE is tried again, under the same request id."""
    service.fail(failures, "UNAVAILABLE")
    assert client.annotate("I love it").classification("sentiment").label == "positive"
    assert len(service.calls) == failures + 1
    assert len({call.metadata["x-request-id"] for call in service.calls}) == 1


def test_a_call_gives_up_in_the_end(client, service):
    """After the last attempt the caller gets the failure."""
    service.fail(9, "UNAVAILABLE")
    with pytest.raises(UnavailableError):
        client.annotate("x")
    assert len(service.calls) == 4


def test_an_overloaded_server_is_asked_again_no_sooner_than_it_says(client, service):
    """RetryInfo is waited for."""
    service.fail(1, "RESOURCE_EXHAUSTED", retry_after=0.15)
    started = time.monotonic()
    client.annotate("x")
    assert time.monotonic() - started >= 0.15
    assert len(service.calls) == 2


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "INTERNAL", "INVALID_ARGUMENT", "ABORTED"])
def test_what_a_retry_cannot_help_is_sent_once(client, service, code):
    """Every other failure is given to the caller at once."""
    service.fail(1, code)
    with pytest.raises(Exception, match="made to fail"):
        client.annotate("x")
    assert len(service.calls) == 1


def test_the_deadline_covers_all_attempts(connect, service):
    """Each attempt gets what is left of the time, not the whole again."""
    client = connect(service.address, timeout=5)
    service.fail(1, "RESOURCE_EXHAUSTED", retry_after=0.2)
    client.annotate("x")
    first, second = (call.seconds_left for call in service.calls)
    assert second <= first - 0.15


def test_many_failing_calls_do_not_become_a_storm(client, service):
    """A server that stays away is asked little more often than the callers ask."""
    service.fail(1000, "UNAVAILABLE")
    for _ in range(20):
        with pytest.raises(UnavailableError):
            client.annotate("x")
    assert len(service.calls) <= 20 + 10 + 2


def test_a_server_that_comes_back_is_found(connect):
    """A client whose server restarted on its port needs no new client."""
    policy = RetryPolicy(max_attempts=9, initial_backoff=0.05, max_backoff=0.5)
    with serve() as first:
        client = connect(first.address, retry=policy)
        client.annotate("x")
    with serve(port=first.port) as second:
        client.annotate("x")
        assert len(second.calls) == 1


def test_a_server_that_comes_back_slowly_is_found_by_the_default_policy(connect):
    """A connection is made while a retry is waited for, though it takes more than one look."""
    with serve() as behind, ExitStack() as stack:
        door = stack.enter_context(closing(Door(behind.port)))
        client = connect(f"127.0.0.1:{door.port}", retry=RetryPolicy())
        client.annotate("x")
        door.shut()
        opener = threading.Timer(0.3, door.open, [0.1])
        opener.start()
        stack.callback(opener.join)
        client.annotate("x")
