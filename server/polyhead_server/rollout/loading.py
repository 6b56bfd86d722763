"""From a folder to a bundle that can answer calls: verified, compiled, warmed."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry

from polyhead_server.annotator import Annotator
from polyhead_server.batcher import Batcher
from polyhead_server.bundle import open_bundle
from polyhead_server.checks import Limits
from polyhead_server.cpus import usable_cpus
from polyhead_server.engine_start import engine_options, prepare_engine
from polyhead_server.errors import BundleError
from polyhead_server.forecast import Bounds
from polyhead_server.liveness import Runs
from polyhead_server.metrics import Metrics
from polyhead_server.model import Model
from polyhead_server.rollout.cores import LOADING_YIELDS, Cores, SharedEngine
from polyhead_server.rollout.served import Served
from polyhead_server.seeding import seeded_cost

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_server.cost import RunCost
    from polyhead_server.model import Job, WindowOutput
    from polyhead_server.recall import Recall
    from polyhead_server.settings import Settings
    from polyhead_server.worker import Ran

_log = structlog.get_logger(__name__)

_BULK_BATCHES = 8
"""Batches that bulk work keeps waiting: enough to keep the engine busy, short to wait behind."""
_EVERY_LENGTH = float("inf")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A bundle in memory that nobody calls yet."""

    model: Model
    engine: SharedEngine
    cost: RunCost


class Loader:
    """Loads bundles for one server.

    Args:
        settings: the server's.
        metrics: is told what the bundles do.
        recall: remembers results; may be None.
    """

    def __init__(self, settings: Settings, metrics: Metrics, recall: Recall | None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._recall = recall
        self._threads = settings.threads or usable_cpus()
        self._workers = 1 if settings.workers == "auto" else settings.workers
        self._options = engine_options(settings, self._threads)
        self._cores = Cores(self._options.streams)
        self._quiet = Metrics(CollectorRegistry())
        self._given_up = threading.Event()
        self.runs: Runs[Job, WindowOutput] = Runs()
        self.limits = Limits(
            max_documents=settings.max_documents,
            max_text_chars=settings.max_text_chars,
            max_request_chars=settings.max_request_chars,
        )

    def load(self, path: Path, *, aside: bool = False) -> Loaded:
        """Load a bundle, check its engine and warm it up: no caller shall meet a slow first run.

        Blocks for seconds.

        Args:
            path: the bundle.
            aside: others serve meanwhile: this one leaves them the processors, and is warmed
                completely, however long that takes.

        Raises:
            BundleError: it cannot be served, or loading was given up.
            StartError: the engine cannot run here.
        """
        self._ensure_wanted()
        start = time.monotonic()
        folder = path.resolve()  # what a link leads to may change meanwhile
        model = Model.load(
            folder,
            threads=self._threads,
            engine=self._settings.engine,
            options=self._options,
            key=self._settings.bundle_key,
        )
        facts = asdict(model.engine.facts)
        _log.info("loaded", bundle=model.bundle.name, version=model.bundle.version, **facts)
        engine = model.engine = SharedEngine(model.engine, self._cores)
        engine.yields = LOADING_YIELDS if aside else 0
        settings = replace(self._settings, warm_seconds=_EVERY_LENGTH) if aside else self._settings
        error = prepare_engine(model, settings, self._ensure_wanted)
        engine.yields = 0  # what is timed now is what its batches will cost
        _log.info("warm", seconds=round(time.monotonic() - start, 3), error=error)
        try:
            if aside:
                _ensure_unchanged(folder, model)
            return Loaded(model, engine, seeded_cost(model, settings.batch_tokens))
        except BaseException:
            model.close()
            raise

    def give_up(self) -> None:
        """Load no more; what is under way ends at its next step, so that the process can."""
        self._given_up.set()

    def serve(self, loaded: Loaded) -> Served:
        """Make a bundle answer calls; its batcher is to be started. On the event loop."""
        model = loaded.model
        batcher = self._batcher(loaded)
        limits = self.limits
        return Served(
            model,
            loaded.engine,
            batcher,
            Annotator(model, batcher, limits=limits, metrics=self._metrics, recall=self._recall),
            Annotator(model, batcher, limits=limits, metrics=self._quiet),
        )

    def _ensure_wanted(self) -> None:
        if self._given_up.is_set():
            raise BundleError("loading was given up")

    def _batcher(self, loaded: Loaded) -> Batcher[Job, WindowOutput]:
        settings = self._settings
        bounds = Bounds(
            batch_tokens=settings.batch_tokens,
            queue_tokens=-(-settings.queue_tokens // self._workers),
            bulk_tokens=_BULK_BATCHES * settings.batch_tokens,
            batch_seconds=settings.batch_seconds,
            bulk_share=settings.bulk_share,
            age_limit=settings.age_limit,
        )
        return Batcher(
            self.runs.around(loaded.model.encode),
            observer=_Observer(loaded.engine, self._metrics, self._quiet),
            bounds=bounds,
            cost=loaded.cost,
            engines=loaded.engine.streams,
            beside=self._beside(loaded.engine.streams),
            computing=not loaded.engine.apart,
            typical=lambda: not loaded.engine.yields,  # else most of it is waiting for others
        )

    def _beside(self, engines: int) -> bool:
        """Whether a thread more than there are engines makes outputs while the next batch runs.

        Several engines keep the processors busy meanwhile: it would only be in their way.
        """
        return engines == 1 and usable_cpus() >= 2 * self._workers


class _Observer:
    """Tells of a bundle's batches where callers wait for them, and not of a shadow's."""

    def __init__(self, engine: SharedEngine, metrics: Metrics, quiet: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._quiet = quiet

    @property
    def _told(self) -> Metrics:
        return self._quiet if self._engine.yields else self._metrics

    def batch(self, run: Ran[WindowOutput], items: int) -> None:
        """A batch went through the engine."""
        self._told.batch(run, items)

    def failed(self) -> None:
        """The engine failed on a batch."""
        self._told.failed()

    def shed(self, reason: str) -> None:
        """A call was refused."""
        self._told.shed(reason)

    def cancelled(self) -> None:
        """A caller went away."""
        self._told.cancelled()

    def expired(self) -> None:
        """A call's deadline passed."""
        self._told.expired()


def _ensure_unchanged(folder: Path, model: Model) -> None:
    """Verify again what was read since it was verified first.

    Raises:
        BundleError: files were replaced meanwhile.
    """
    if open_bundle(folder).identity != model.bundle.identity:
        raise BundleError(f"{folder}: it was changed while it was loaded")
