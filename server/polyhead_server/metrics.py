"""Prometheus metrics, all on one object with its own registry, and the port that serves them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from polyhead_server.errors import StartError
from polyhead_server.hosts import bare, joined
from polyhead_server.liveness_probes import Probes
from polyhead_server.quick_metrics import Count, Counts, Spread, Spreads
from polyhead_server.schedule import Priority
from polyhead_server.tallies import Tallies
from polyhead_server.timings import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Thread
    from wsgiref.simple_server import WSGIServer
    from wsgiref.types import WSGIApplication

    from polyhead_server.worker import Ran

SECONDS = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
"""Histogram bounds for times: a short text takes half a millisecond, a full queue seconds."""

_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_TOKENS = (16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
_CALL = ("grpc_type", "grpc_service", "grpc_method")
_LANE = ("lane",)


@dataclass(frozen=True, slots=True)
class MethodMetrics:
    """Metrics of one method, looked up once: this runs several times a call."""

    started: Count
    received: Count
    sent: Count
    seconds: Spread
    handled: Callable[[str], Count]

    def ended(self, code: str, seconds: float, exemplar: dict[str, str] | None = None) -> None:
        """A call ended with this status; an exemplar's labels lead to its trace."""
        self.handled(code).inc()
        self.seconds.observe(seconds, exemplar)


class Metrics:
    """Every collector of the server.

    Args:
        registry: where to register; a fresh one by default.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._methods: dict[tuple[str, str, str], MethodMetrics] = {}
        counter, histogram, gauge = self._counter, self._histogram, self._gauge
        counters, histograms = self._counters, self._histograms
        self._started = counters("grpc_server_started_total", "Calls begun.", _CALL)
        self._handled = counters(
            "grpc_server_handled_total", "Calls ended, by status.", (*_CALL, "grpc_code")
        )
        self._seconds = histograms("grpc_server_handling_seconds", "Time of calls.", SECONDS, _CALL)
        self._received = counters("grpc_server_msg_received_total", "Messages received.", _CALL)
        self._sent = counters("grpc_server_msg_sent_total", "Messages sent.", _CALL)
        self.in_flight = gauge("polyhead_in_flight", "Calls under way.")
        self._under_way: list[Callable[[], int]] = []
        self.documents = counter("polyhead_documents_total", "Documents annotated.")
        self.windows = counter("polyhead_windows_total", "Encoder windows of those documents.")
        self._queue_texts = gauge("polyhead_queue_texts", "Windows that wait for the encoder.")
        self._queue_tokens = gauge("polyhead_queue_tokens", "Tokens that wait for the encoder.")
        self._queue_delay = gauge(
            "polyhead_queue_delay_seconds",
            "Expected wait for the encoder of an interactive call that comes now.",
        )
        self._lane_tokens = gauge(
            "polyhead_lane_tokens", "Tokens that wait for the encoder, by lane.", _LANE
        )
        waits = histograms(
            "polyhead_lane_wait_seconds", "Time that calls waited, by lane.", SECONDS, _LANE
        )
        self._waits = {priority: waits.labels(priority.name.lower()) for priority in Priority}
        self._batch_texts = histogram("polyhead_batch_texts", "Windows in a batch.", _TEXTS)
        self._batch_tokens = histogram("polyhead_batch_tokens", "Tokens in a batch.", _TOKENS)
        self._wasted = counter("polyhead_wasted_tokens_total", "Tokens that only filled batches.")
        self._failed = counter("polyhead_failed_batches_total", "Batches that failed.")
        self._shed = counters("polyhead_shed_total", "Calls refused for want of room.", ("reason",))
        self._cancelled = counter("polyhead_cancelled_total", "Calls given up by the caller.")
        self._expired = counter("polyhead_expired_total", "Calls whose deadline passed.")
        self._stuck = gauge("polyhead_engine_stuck", "1 while the engine is stuck, else 0.")
        self._build = gauge(
            "polyhead_build_info", "Always 1.", ("version", "bundle", "bundle_version")
        )
        self._engine = gauge(
            "polyhead_engine_info",
            "Always 1: what the engine chose to compute in.",
            ("engine", "device", "weights", "floats", "threads", "streams"),
        )
        stages = histograms(
            "polyhead_stage_seconds",
            "Time in a stage: tokenize and queue of a request, encode and heads of a batch.",
            SECONDS,
            ("stage",),
        )
        self._tokenize, self._queue, self._encode, self._heads = (
            stages.labels(stage) for stage in STAGES
        )
        for reason in ("queue_full", "deadline", "draining"):
            self._shed.labels(reason)
        self.tallies = Tallies()
        self.registry.register(self.tallies)

    def describe(self, version: str, bundle: str, bundle_version: str) -> None:
        """Say what is running."""
        self._build.clear()
        self._build.labels(version, bundle, bundle_version).set(1)

    def describe_engine(self, facts: Mapping[str, str]) -> None:
        """Say what the engine chose to compute in, by the names of the labels."""
        self._engine.clear()
        self._engine.labels(**facts).set(1)

    def method(self, kind: str, service: str, name: str) -> MethodMetrics:
        """The metrics of one method, by grpc_type, grpc_service and grpc_method."""
        labels = (kind, service, name)
        if labels not in self._methods:
            for code in ("OK", "Internal"):  # a first one counts only where there was a 0 before
                self._handled.labels(*labels, code)
            self._methods[labels] = MethodMetrics(
                started=self._started.labels(*labels),
                received=self._received.labels(*labels),
                sent=self._sent.labels(*labels),
                seconds=self._seconds.labels(*labels),
                handled=lambda code: self._handled.labels(*labels, code),
            )
        return self._methods[labels]

    def watch_calls(self, under_way: Callable[[], int]) -> None:
        """Read how many calls are under way whenever the metrics are read, on one port more."""
        self._under_way.append(under_way)
        self.in_flight.set_function(lambda: sum(count() for count in self._under_way))

    def watch_queue(
        self,
        texts: Callable[[], float],
        tokens: Callable[[], float],
        delay: Callable[[], float],
    ) -> None:
        """Read the size of the queue, and the wait in it, whenever the metrics are read."""
        self._queue_texts.set_function(texts)
        self._queue_tokens.set_function(tokens)
        self._queue_delay.set_function(delay)

    def watch_lanes(self, tokens: Callable[[Priority], float]) -> None:
        """Read how much waits in each lane whenever the metrics are read."""
        for priority in Priority:
            lane = self._lane_tokens.labels(priority.name.lower())
            lane.set_function(partial(tokens, priority))

    def watch_process(self) -> None:
        """Tell of the memory, processor time and open files of this process."""
        ProcessCollector(registry=self.registry)

    def watch_life(self, stuck: Callable[[], float]) -> None:
        """Read whether the engine is stuck whenever the metrics are read."""
        self._stuck.set_function(stuck)

    def stages(self, tokenize: float, queue: float, lane: Priority) -> None:
        """A request was tokenised and has waited in a lane; seconds."""
        self._tokenize.observe(tokenize)
        self._queue.observe(queue)
        self._waits[lane].observe(queue)

    def batch(self, run: Ran[Any], items: int) -> None:
        """A batch went through the engine."""
        self._encode.observe(run.encode_seconds)
        self._heads.observe(run.heads_seconds)
        self._batch_texts.observe(items)
        self._batch_tokens.observe(run.tokens)
        self._wasted.inc(run.wasted_tokens)

    def failed(self) -> None:
        """The engine failed on a batch."""
        self._failed.inc()

    def shed(self, reason: str) -> None:
        """A call was refused."""
        self._shed.labels(reason).inc()

    def cancelled(self) -> None:
        """A caller went away."""
        self._cancelled.inc()

    def expired(self) -> None:
        """A deadline passed."""
        self._expired.inc()

    def _counters(self, name: str, text: str, labels: tuple[str, ...]) -> Counts:
        return Counts(name, text, labels, self.registry)

    def _counter(self, name: str, text: str) -> Count:
        return self._counters(name, text, ()).labels()

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histograms(
        self, name: str, text: str, bounds: tuple[float, ...], labels: tuple[str, ...]
    ) -> Spreads:
        return Spreads(name, text, bounds, labels, self.registry)

    def _histogram(self, name: str, text: str, bounds: tuple[float, ...]) -> Spread:
        return self._histograms(name, text, bounds, ()).labels()


class MetricsPort:
    """Serves a registry over HTTP from a thread of its own.

    Args:
        registry: what to serve.
        host: address to listen on.
        port: port to listen on; 0 for any free one.

    Attributes:
        probes: answer /livez and /readyz on the same port.

    Raises:
        StartError: the port cannot be had.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.probes = Probes()
        self._server: WSGIServer
        self._thread: Thread
        try:
            self._server, self._thread = start_http_server(port, bare(host), registry)
            app = cast("WSGIApplication", self._server.get_app())  # what it was just made with
            self._server.set_app(self.probes.before(app))
        except OSError as error:
            raise StartError(
                f"cannot serve metrics on {joined(host, port)}: {error.strerror}"
            ) from None
        self.url = f"http://{joined(host, self._server.server_port)}/metrics"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
