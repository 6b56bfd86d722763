# ruff: noqa: INP001 - a script and its data, no package
"""The panels of the dashboard, row by row: what is asked, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass

AT = 'job=~"$job", instance=~"$instance"'
RATE = "$__rate_interval"
OURS = 'grpc_service!="polyhead.admin.v1.AdminService"'
FAULTS = "Internal|Unknown|DataLoss|Unavailable|DeadlineExceeded"
FAULTY = f'{OURS}, grpc_code=~"{FAULTS}"'
WANT = 'reason!="draining"'
STREAM = 'grpc_type="bidi_stream"'
TASK = 'task=~"$task"'
WIDTH = 24


@dataclass(frozen=True, slots=True)
class Query:
    """An expression, and how its series are named."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture."""

    title: str
    about: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    stack: bool = False
    top: float | None = None
    """Largest value of the axis."""


def rate(name: str, by: str = "", where: str = "") -> str:
    """Sum of a counter's rate."""
    return f"sum{_by(by)} (rate({name}{{{_with(where)}}}[{RATE}]))"


def quantile(share: float, name: str, by: str = "", where: str = "") -> str:
    """Quantile of a histogram."""
    inner = rate(f"{name}_bucket", f"le, {by}" if by else "le", where)
    return f"histogram_quantile({share}, {inner})"


def quantiles(name: str, where: str = "") -> tuple[Query, ...]:
    """Median and tail of a histogram."""
    return tuple(
        Query(quantile(share, name, where=where), legend)
        for share, legend in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


def mean(name: str, by: str = "") -> str:
    """Mean of a histogram."""
    return f"{rate(f'{name}_sum', by)} / {rate(f'{name}_count', by)}"


def total(name: str, by: str = "") -> str:
    """Sum of a gauge."""
    return f"sum{_by(by)} ({name}{{{AT}}})"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _with(where: str) -> str:
    return f"{AT}, {where}" if where else AT


def one(expr: str, legend: str = "") -> tuple[Query, ...]:
    """A single query."""
    return (Query(expr, legend),)


def number(title: str, about: str, expr: str, unit: str = "short") -> Panel:
    """A number to see at a glance."""
    return Panel(title, about, one(expr), unit, "stat", width=4, height=4)


STARTED = "grpc_server_started_total"
HANDLED = "grpc_server_handled_total"
HANDLING = "grpc_server_handling_seconds"
OF_SINGLE = f'{OURS}, grpc_type=~"unary|http"'

ROWS: dict[str, tuple[Panel, ...]] = {
    "At a glance": (
        number("Servers", "Servers that answer Prometheus.", f"sum(up{{{AT}}})"),
        number("Calls", "Calls that begin in a second.", rate(STARTED, where=OURS), "reqps"),
        number("Documents", "Documents annotated in a second.", rate("polyhead_documents_total")),
        number(
            "Failed or refused",
            "Part of the calls that the service did not answer, for reasons of its own.",
            f"({rate(HANDLED, where=FAULTY)} + "
            f"{rate('polyhead_shed_total', where=WANT)}) / {rate(STARTED, where=OURS)}",
            "percentunit",
        ),
        number(
            "99th percentile",
            "Of the time of single calls.",
            quantile(0.99, HANDLING, where=OF_SINGLE),
            "s",
        ),
        number(
            "Wait",
            "Expected wait of an interactive call that comes now, at the busiest server.",
            f"max(polyhead_queue_delay_seconds{{{AT}}})",
            "s",
        ),
    ),
    "Traffic and errors": (
        Panel(
            "Calls by method",
            "Calls that begin.",
            one(rate(STARTED, "grpc_method"), "{{grpc_method}}"),
            "reqps",
            stack=True,
        ),
        Panel(
            "Calls by status",
            "Calls that end.",
            one(rate(HANDLED, "grpc_code"), "{{grpc_code}}"),
            "reqps",
            stack=True,
        ),
        Panel(
            "Refused, given up, late",
            "Calls refused by reason, cancelled by the caller, past their deadline.",
            (
                Query(rate("polyhead_shed_total", "reason"), "refused: {{reason}}"),
                Query(rate("polyhead_cancelled_total"), "cancelled"),
                Query(rate("polyhead_expired_total"), "past the deadline"),
            ),
            "reqps",
        ),
        Panel(
            "Documents and windows",
            "Documents annotated, and the encoder's windows of them.",
            (
                Query(rate("polyhead_documents_total"), "documents"),
                Query(rate("polyhead_windows_total"), "windows"),
            ),
        ),
        Panel(
            "Messages of streams",
            "Messages that came in and went out on bulk streams.",
            (
                Query(
                    rate("grpc_server_msg_received_total", "grpc_method", STREAM),
                    "in: {{grpc_method}}",
                ),
                Query(
                    rate("grpc_server_msg_sent_total", "grpc_method", STREAM),
                    "out: {{grpc_method}}",
                ),
            ),
        ),
        Panel(
            "Calls under way",
            "Calls that have begun and not ended.",
            one(total("polyhead_in_flight", "instance"), "{{instance}}"),
            stack=True,
        ),
    ),
    "Latency": (
        Panel(
            "Single calls",
            "How many calls took how long.",
            one(rate(f"{HANDLING}_bucket", "le", OF_SINGLE), "{{le}}"),
            "s",
            "heatmap",
            12,
        ),
        Panel(
            "Quantiles of single calls",
            "Time from the first byte to the answer.",
            quantiles(HANDLING, OF_SINGLE),
            "s",
            width=12,
        ),
        Panel(
            "99th percentile by method",
            "Where the tail is.",
            one(quantile(0.99, HANDLING, "grpc_method"), "{{grpc_method}}"),
            "s",
            width=12,
        ),
        Panel(
            "Objectives",
            "Part of the calls that failed or were slow, over an hour.",
            (
                Query('job:polyhead_error_ratio:rate1h{job=~"$job"}', "failed: {{job}}"),
                Query('job:polyhead_slow_ratio:rate1h{job=~"$job"}', "slow: {{job}}"),
            ),
            "percentunit",
            width=12,
        ),
    ),
    "Stages": (
        Panel(
            "Mean time in a stage",
            "Tokenize and queue of a call, encode and heads of a batch.",
            one(mean("polyhead_stage_seconds", "stage"), "{{stage}}"),
            "s",
            width=12,
        ),
        Panel(
            "99th percentile of a stage",
            "Likewise.",
            one(quantile(0.99, "polyhead_stage_seconds", "stage"), "{{stage}}"),
            "s",
            width=12,
        ),
    ),
    "Queue and batches": (
        Panel(
            "Tokens that wait, by lane",
            "What waits for the encoder.",
            one(total("polyhead_lane_tokens", "lane"), "{{lane}}"),
            stack=True,
        ),
        Panel(
            "99th percentile of the wait, by lane",
            "Time that calls waited.",
            one(quantile(0.99, "polyhead_lane_wait_seconds", "lane"), "{{lane}}"),
            "s",
        ),
        Panel(
            "Expected wait",
            "Of an interactive call that comes now.",
            one(f"max by (instance) (polyhead_queue_delay_seconds{{{AT}}})", "{{instance}}"),
            "s",
        ),
        Panel(
            "Queue",
            "What waits for the encoder, of all lanes.",
            (
                Query(total("polyhead_queue_texts"), "windows"),
                Query(total("polyhead_queue_tokens"), "tokens"),
            ),
        ),
        Panel(
            "Size of batches",
            "Mean of what the encoder runs at a time.",
            (
                Query(mean("polyhead_batch_texts"), "windows"),
                Query(mean("polyhead_batch_tokens"), "tokens"),
            ),
        ),
        Panel(
            "Tokens",
            "Tokens that the encoder read, and those that only filled batches up.",
            (
                Query(rate("polyhead_batch_tokens_sum"), "of texts"),
                Query(rate("polyhead_wasted_tokens_total"), "wasted"),
            ),
        ),
        Panel(
            "Batches",
            "Batches that went through the engine, and those that failed.",
            (
                Query(rate("polyhead_batch_texts_count"), "run"),
                Query(rate("polyhead_failed_batches_total"), "failed"),
            ),
        ),
        Panel(
            "Wasted",
            "Part of the tokens that only filled batches up.",
            one(
                f"{rate('polyhead_wasted_tokens_total')} / ({rate('polyhead_wasted_tokens_total')} "
                f"+ {rate('polyhead_batch_tokens_sum')})"
            ),
            "percentunit",
            top=1.0,
        ),
        Panel(
            "Engine",
            "Processes whose engine is stuck.",
            one(total("polyhead_engine_stuck", "instance"), "stuck: {{instance}}"),
        ),
    ),
    "Cache": (
        Panel(
            "Found",
            "Part of the documents answered without the engine. Nothing where there is no cache.",
            one(
                f"({rate('polyhead_cache_hits_total')} + {rate('polyhead_cache_shared_total')}) / "
                f"({rate('polyhead_cache_hits_total')} + {rate('polyhead_cache_misses_total')} "
                f"+ {rate('polyhead_cache_shared_total')})"
            ),
            "percentunit",
            top=1.0,
        ),
        Panel(
            "Documents by where they came from",
            "Kept, found in another call's run, or run; and put out.",
            tuple(
                Query(rate(f"polyhead_cache_{name}_total"), legend)
                for name, legend in (
                    ("hits", "kept"),
                    ("shared", "another call's"),
                    ("misses", "run"),
                    ("evictions", "put out"),
                )
            ),
        ),
        Panel(
            "Memory",
            "What the kept results take.",
            one(total("polyhead_cache_bytes", "instance"), "{{instance}}"),
            "bytes",
        ),
    ),
    "Heads": (
        Panel(
            "Labels of $task",
            "Share of each label in what the head gives.",
            one(
                f"{rate('polyhead_labels_total', 'task, label', TASK)} "
                f"/ on (task) group_left () {rate('polyhead_labels_total', 'task', TASK)}",
                "{{task}}: {{label}}",
            ),
            "percentunit",
            width=12,
            height=10,
        ),
        Panel(
            "Probabilities of $task",
            "How many labels were given with which probability.",
            one(rate("polyhead_scores_bucket", "le", TASK), "{{le}}"),
            "short",
            "heatmap",
            12,
            10,
        ),
        Panel(
            "Mean probability",
            "How sure the heads are of their labels.",
            one(mean("polyhead_scores", "task"), "{{task}}"),
            "percentunit",
            top=1.0,
        ),
        Panel(
            "Documents by head",
            "Documents that a head was asked about.",
            one(rate("polyhead_head_documents_total", "task"), "{{task}}"),
        ),
        Panel(
            "Drift",
            "The last hour beside the last day: 0 for the same, 1 for nothing in common.",
            (
                Query('job_task:polyhead_labels:drift{job=~"$job"}', "labels: {{task}}"),
                Query('job_task:polyhead_scores:drift{job=~"$job"}', "scores: {{task}}"),
            ),
            "percentunit",
            top=1.0,
        ),
    ),
    "Bundles": (
        Panel(
            "Versions",
            "What is served.",
            one(
                total("polyhead_build_info", "version, bundle, bundle_version"),
                "{{bundle}} {{bundle_version}}, server {{version}}",
            ),
            kind="table",
        ),
        Panel(
            "Documents by version",
            "Bundles side by side.",
            one(rate("polyhead_bundle_documents_total", "bundle_version"), "{{bundle_version}}"),
            stack=True,
        ),
        Panel(
            "99th percentile by version",
            "Time from reading to results.",
            one(quantile(0.99, "polyhead_bundle_seconds", "bundle_version"), "{{bundle_version}}"),
            "s",
        ),
        Panel(
            "Share of traffic",
            "Part of the calls that name no version.",
            one(
                f"avg by (bundle_version, role) (polyhead_bundle_traffic_ratio{{{AT}}})",
                "{{bundle_version}} ({{role}})",
            ),
            "percentunit",
            top=1.0,
        ),
        Panel(
            "Reloads",
            "Bundles asked for in the last hour.",
            one(f"sum by (result) (increase(polyhead_reload_total{{{AT}}}[1h]))", "{{result}}"),
            stack=True,
        ),
        Panel(
            "Bundles in memory",
            "Those on their way out too.",
            one(total("polyhead_bundles", "instance"), "{{instance}}"),
        ),
        Panel(
            "Errors by version",
            "Calls that a bundle did not answer and that were not at fault. Nothing without any.",
            one(
                rate("polyhead_bundle_errors_total", "bundle_version, error"),
                "{{bundle_version}}: {{error}}",
            ),
            width=12,
        ),
        Panel(
            "Shadows",
            "Copies of documents for shadows, and results beside the primary's.",
            (
                Query(rate("polyhead_shadow_documents_total", "result"), "copies: {{result}}"),
                Query(rate("polyhead_shadow_agreement_total", "result"), "results: {{result}}"),
            ),
            width=12,
        ),
    ),
    "Processes": (
        Panel(
            "Processors",
            "Processor seconds in a second.",
            one(rate("process_cpu_seconds_total", "instance, worker"), "{{instance}} {{worker}}"),
        ),
        Panel(
            "Memory",
            "Resident.",
            one(
                total("process_resident_memory_bytes", "instance, worker"),
                "{{instance}} {{worker}}",
            ),
            "bytes",
        ),
        Panel(
            "Files",
            "Open file descriptors, a part of the limit.",
            one(
                f"max by (instance, worker) (process_open_fds{{{AT}}} / process_max_fds{{{AT}}})",
                "{{instance}} {{worker}}",
            ),
            "percentunit",
        ),
        Panel(
            "Workers",
            "Workers that are ready, and those started in place of others in the last hour. "
            "Nothing where a server is one process.",
            (
                Query(total("polyhead_workers", "instance"), "ready: {{instance}}"),
                Query(
                    f"sum by (instance) (increase(polyhead_worker_restarts_total{{{AT}}}[1h]))",
                    "restarted: {{instance}}",
                ),
            ),
        ),
        Panel(
            "Age",
            "Since the process began.",
            one(
                f"time() - max by (instance, worker) (process_start_time_seconds{{{AT}}})",
                "{{instance}} {{worker}}",
            ),
            "s",
        ),
        Panel(
            "Engine",
            "What the engine chose to compute in.",
            one(
                total("polyhead_engine_info", "engine, device, weights, floats, threads, streams"),
                "{{engine}} on {{device}}: {{weights}}, {{floats}}, {{threads}} threads",
            ),
            kind="table",
        ),
    ),
}
