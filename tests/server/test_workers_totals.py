"""The metrics of several workers become one set."""

from __future__ import annotations

import json

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import generate_latest

from polyhead_server.metrics import Metrics
from polyhead_server.workers.snapshot import families, take
from polyhead_server.workers.totals import Totals


class Worker:
    """A worker's metrics, as they come from its process."""

    def __init__(self):
        self.metrics = Metrics()
        self.metrics.describe("0.1.0", "tiny", "1")

    def call(self, seconds):
        method = self.metrics.method("unary", "polyhead.v1.AnnotationService", "Annotate")
        method.ended("OK", seconds)

    def snapshot(self):
        return json.loads(json.dumps(take(self.metrics.registry)))


def totals(live):
    """Totals of workers by index; those that end are to be taken out of `live`."""
    made = Totals(lambda: made.with_live({i: worker.snapshot() for i, worker in live.items()}))
    return made


def value(made, name, **labels):
    return made.registry.get_sample_value(name, labels)


def test_snapshot_is_whole():
    """What is exported from a snapshot that went through JSON is what was exported before."""
    registry = CollectorRegistry()
    Counter("calls", "Calls.", ["code"], registry=registry).labels("OK").inc(2)
    Histogram("time", "Times.", registry=registry).observe(0.3, {"trace_id": "a"})
    Gauge("size", "Size.", registry=registry).set(7)

    class Fixed:
        def collect(self):
            return families(json.loads(json.dumps(take(registry))))

    copy = CollectorRegistry()
    copy.register(Fixed())

    def lines(source):
        page = generate_latest(source).decode().splitlines()
        return [line for line in page if "_created" not in line]

    assert lines(copy) == lines(registry)


def test_names_and_labels_are_those_of_one_process():
    """Workers have every family that one process has, and no label more."""
    worker = Worker()
    worker.call(0.001)
    made = totals({0: worker, 1: worker})
    one = {s.name: set(s.labels) for f in families(worker.snapshot()) for s in f.samples}
    all_ = {s.name: set(s.labels) for f in made.registry.collect() for s in f.samples}
    assert one.items() <= all_.items()


def test_counters_and_histograms_add_up():
    """Counters, buckets, counts and sums are those of all workers."""
    one, other = Worker(), Worker()
    one.call(0.0002)
    other.call(0.0002)
    other.call(0.002)
    other.metrics.documents.inc(5)
    made = totals({0: one, 1: other})
    call = {
        "grpc_type": "unary",
        "grpc_service": "polyhead.v1.AnnotationService",
        "grpc_method": "Annotate",
    }
    assert value(made, "grpc_server_handled_total", **call, grpc_code="OK") == 3
    assert value(made, "grpc_server_handling_seconds_bucket", **call, le="0.00025") == 2
    assert value(made, "grpc_server_handling_seconds_bucket", **call, le="0.0025") == 3
    assert value(made, "grpc_server_handling_seconds_count", **call) == 3
    assert round(value(made, "grpc_server_handling_seconds_sum", **call), 6) == 0.0024
    assert value(made, "polyhead_documents_total") == 5


def test_gauges():
    """Sizes add up, an info stays 1."""
    one, other = Worker(), Worker()
    one.metrics.in_flight.set(2)
    other.metrics.in_flight.set(3)
    made = totals({0: one, 1: other})
    assert value(made, "polyhead_in_flight") == 5
    build = {"version": "0.1.0", "bundle": "tiny", "bundle_version": "1"}
    assert value(made, "polyhead_build_info", **build) == 1


def test_times_do_not_add_up():
    """Of gauges that are times or ratios the largest is told."""
    live = {0: Worker(), 1: Worker()}
    for worker, seconds in zip(live.values(), (0.2, 0.7), strict=True):
        Gauge("delay_seconds", "Delay.", registry=worker.metrics.registry).set(seconds)
    assert value(totals(live), "delay_seconds") == 0.7


def test_ended_workers_count():
    """What a worker counted outlives it, its gauges do not; again and again."""
    live = {0: Worker(), 1: Worker()}
    made = totals(live)
    for _ in range(3):
        live[0].metrics.documents.inc(10)
        live[0].metrics.in_flight.set(4)
        assert value(made, "polyhead_in_flight") == 4
        ended = live.pop(0)
        made.keep(ended.snapshot())
        live[0] = Worker()
    assert value(made, "polyhead_documents_total") == 30
    assert value(made, "polyhead_in_flight") == 0


def test_figures_of_processes():
    """What is about a process is told for each worker, and ends with it."""
    live = {0: Worker(), 1: Worker()}
    for number, worker in live.items():
        used = Counter("process_cpu_seconds", "CPU.", registry=worker.metrics.registry)
        used.inc(number + 1)
    made = totals(live)
    assert value(made, "process_cpu_seconds_total", worker="0") == 1
    assert value(made, "process_cpu_seconds_total", worker="1") == 2
    made.keep(live.pop(1).snapshot())
    assert value(made, "process_cpu_seconds_total", worker="1") is None
