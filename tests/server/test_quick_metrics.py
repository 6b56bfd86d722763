"""Quick metrics tell what those of the client library would."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from polyhead_server.quick_metrics import Counts, Spreads

BOUNDS = (0.00005, 0.1, 1, 2.5)
AMOUNTS = (0.0, 0.1, 0.3, 2.5, 7.0)


@pytest.fixture(autouse=True)
def no_times_of_creation(monkeypatch):
    """As the server has it."""
    monkeypatch.setattr("prometheus_client.metrics._use_created", False)


@pytest.mark.parametrize("labels", [(), ("kind", "name")])
@pytest.mark.parametrize("generate", [generate_latest, generate_openmetrics])
def test_they_read_the_same(generate, labels):
    """Names, types, help, labels, buckets, counts and sums are the same, byte for byte."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    values = ("a", 'b"')[: len(labels)]
    count = Counts("calls_total", "Calls.", labels, ours).labels(*values)
    spread = Spreads("call_seconds", "Time.", BOUNDS, labels, ours).labels(*values)
    counter = Counter("calls_total", "Calls.", labels, registry=theirs)
    histogram = Histogram("call_seconds", "Time.", labels, registry=theirs, buckets=BOUNDS)
    for amount in AMOUNTS:
        for one in (count, counter.labels(*values) if labels else counter):
            one.inc()
            one.inc(2)
        for one in (spread, histogram.labels(*values) if labels else histogram):
            one.observe(amount)
    assert generate(ours) == generate(theirs)


def test_exemplars_lead_from_a_bucket_to_its_last_trace():
    """Each bucket keeps the last amount that had one."""
    registry = CollectorRegistry()
    spread = Spreads("call_seconds", "Time.", BOUNDS, (), registry).labels()
    for amount, trace in ((0.2, "first"), (0.3, "second"), (0.4, ""), (7.0, "slow")):
        spread.observe(amount, {"trace_id": trace} if trace else None)
    page = generate_openmetrics(registry).decode()
    found = [line.split(" # ")[1].split("} ") for line in page.splitlines() if " # " in line]
    assert [labels for labels, _ in found] == ['{trace_id="second"', '{trace_id="slow"']
    assert [amount.split()[0] for _, amount in found] == ["0.3", "7.0"]


def test_without_a_label_they_begin_at_zero():
    """What never happened is told, and what was removed is not."""
    registry = CollectorRegistry()
    Counts("all_total", "All.", (), registry)
    some = Counts("some_total", "Some.", ("kind",), registry)
    some.labels("a").inc()
    some.remove("a")
    some.remove("never there")
    assert registry.get_sample_value("all_total") == 0
    assert registry.get_sample_value("some_total", {"kind": "a"}) is None


def test_names_are_taken_once():
    """A registry refuses a second family of the same name."""
    registry = CollectorRegistry()
    Counts("calls_total", "Calls.", (), registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Counter("calls_total", "Calls.", registry=registry)
