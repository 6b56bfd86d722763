"""A real Prometheus scrapes loaded servers: every panel has data, every alert fires and clears."""

from __future__ import annotations

import contextlib
import http.server
import os
import resource
import shutil
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from background_server import PATIENCE, BackgroundServer
from dashboard_queries import filled_in, panels
from loaded import OTHER_WORDS, Load, Tampered, stopped
from prometheus_run import Prometheus, eventually, free_port
from tiny_bundle import write_tiny_bundle
from worker_server import WorkerServer

NOTHING_YET = {"polyhead_bundle_errors_total", "polyhead_shadow_agreement_total"}
"""Series that come with the first error or shadow."""


class Site:
    """What is watched, all on one machine."""

    def __init__(self, folder):
        self.bundle = write_tiny_bundle(folder / "bundle")
        single, workers, self.gateway = free_port(), free_port(), free_port()
        (folder / "prometheus").mkdir()
        targets = {"polyhead": [single, workers], "polyhead-gateway": [self.gateway]}
        self.prometheus = Prometheus(folder / "prometheus", targets)
        self._held = contextlib.ExitStack()
        self._held.callback(self.prometheus.close)
        self._folder = folder
        self._ports = single, workers
        self.loads = []

    def open(self):
        """Start the servers and their load."""
        single, workers = self._ports
        self.manifest = shutil.copytree(self.bundle, self._folder / "workers") / "manifest.json"
        self.single = BackgroundServer(
            self.bundle, metrics_port=single, cache_mb=1, queue_tokens=200
        )
        self._held.callback(self.single.close)
        self.workers = WorkerServer(
            self._folder / "workers", self._folder, f"--metrics-port={workers}", "--cache-mb=1"
        )
        self._held.callback(self.workers.close)
        for address in (self.single.ready.address, self.workers.address):
            self.loads.append(Load(address))
            self._held.callback(self.loads[-1].close)

    def close(self):
        self._held.close()

    def fires(self, *names):
        """Wait until each has fired, at whatever moment."""
        seen = set()

        def all_seen():
            seen.update(self.prometheus.firing())
            return seen >= set(names)

        eventually(all_seen, lambda: seen)

    def clears(self, *names):
        eventually(lambda: not self.prometheus.firing() & set(names), self.prometheus.firing)


@pytest.fixture(scope="module")
def dark(tmp_path_factory):
    """Prometheus, and nothing that answers it."""
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


@pytest.fixture(scope="module")
def site(dark):
    """The same with servers under load, a while later."""
    dark.fires("PolyheadAbsent", "PolyheadTargetDown")
    dark.open()
    dark.clears("PolyheadAbsent")
    drift = "min_over_time(count(job_task:polyhead_labels:drift)[4s:1s])"
    eventually(lambda: dark.prometheus.query(drift))
    return dark


def test_absent_and_down(site):
    """What is not there is told of until it is; the fixture has seen to the servers."""
    site.fires("PolyheadTargetDown")
    with _answering(site.gateway):
        site.clears("PolyheadTargetDown")


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_panels_have_data(site, panel):
    """Every query of every panel gives numbers."""
    for target in panel["targets"]:
        expr = filled_in(target["expr"], "10s")
        if not any(name in expr for name in NOTHING_YET):
            eventually(partial(_numbers, site.prometheus, expr))


def test_variables_have_values(site):
    """What the variables are made of is there."""
    for name in ("polyhead_build_info", "polyhead_head_documents_total"):
        assert site.prometheus.query(f'{name}{{job="polyhead"}}')


def test_engine_stuck(site):
    """An engine that stands still is told of until it goes on."""
    with stopped(site.single):
        site.fires("PolyheadEngineStuck")
    site.clears("PolyheadEngineStuck")


def test_engine_slow(site):
    """An engine that cannot keep up: calls wait, are slow, and some are refused."""
    names = "PolyheadShedding", "PolyheadQueueSlow"
    budgets = "PolyheadLatencyBudgetBurnsFast", "PolyheadLatencyBudgetBurnsSlow"
    with Tampered(site.single, partial(time.sleep, 0.5)):
        few = Load(site.single.ready.address, threads=6)
        site.fires(*budgets)  # before there are so many that most are refused, which is quick
        crowd = Load(site.single.ready.address, threads=24)
        site.fires(*names)
        few.close()
        crowd.close()
    site.clears(*names, *budgets)


def test_engine_fails(site):
    """An engine that raises: internal errors, failed batches, and a budget that burns."""

    def fail():
        raise RuntimeError("made up")

    names = (
        *("PolyheadInternalErrors", "PolyheadBatchesFail"),
        *("PolyheadErrorBudgetBurnsFast", "PolyheadErrorBudgetBurnsSlow"),
    )
    with Tampered(site.single, fail):
        site.fires(*names)
    site.clears(*names)


def test_reload_fails(site):
    """A bundle that is damaged is told of until a good one is loaded."""
    good = site.manifest.read_bytes()
    site.manifest.write_bytes(b"{")
    site.workers.process.send_signal(signal.SIGHUP)
    site.fires("PolyheadReloadFailed")
    site.manifest.write_bytes(good)
    site.workers.process.send_signal(signal.SIGHUP)
    site.clears("PolyheadReloadFailed")


def test_worker_is_replaced(site):
    """A worker that was killed is told of for a while."""
    os.kill(site.workers.pids()[1], signal.SIGKILL)
    site.fires("PolyheadWorkersRestart")
    site.clears("PolyheadWorkersRestart")


def test_files_run_out(site):
    """A process near its limit of open files is told of until the limit is raised."""
    pid = site.workers.pids()[0]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 2, limits[1]))
    try:
        site.fires("PolyheadFilesRunOut")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    site.clears("PolyheadFilesRunOut")


def test_drift(site):
    """Other texts, other labels and scores; once they are the usual ones, that is no news."""
    for load in site.loads:
        load.text = OTHER_WORDS
    site.fires("PolyheadLabelsDrift", "PolyheadScoresDrift")
    site.clears("PolyheadLabelsDrift", "PolyheadScoresDrift")


def _numbers(prometheus, expr):
    values = [float(sample["value"][1]) for sample in prometheus.query(expr)]
    return [value for value in values if value == value]  # noqa: PLR0124 - NaN is not itself


@contextlib.contextmanager
def _answering(port):
    """A target that answers with no metric at all."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join(PATIENCE)
