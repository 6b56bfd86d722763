"""All that a serving process has to do with bundles, put together."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Self

from prometheus_client import CollectorRegistry
from threadpoolctl import threadpool_limits

from polyhead_server.garbage import return_memory, seldom_collect
from polyhead_server.niceness import in_background
from polyhead_server.recall import open_recall
from polyhead_server.rollout.candidates import Candidates
from polyhead_server.rollout.figures import BundleFigures, ReloadFigures
from polyhead_server.rollout.loading import Loader
from polyhead_server.rollout.rollout import Rollout
from polyhead_server.rollout.roster import Roster
from polyhead_server.rollout.watch import Watch, stamp

if TYPE_CHECKING:
    from polyhead_server.metrics import Metrics
    from polyhead_server.rollout.loading import Loaded
    from polyhead_server.rollout.watch import Stamp
    from polyhead_server.settings import Settings

_SWITCH_SECONDS = 0.0005


class Bundles:
    """The bundles of a server, made by `load`.

    Attributes:
        roster: answers calls.
        runs: those of the engines of all bundles.
        candidates: changes the roster.
        rollout: is told from outside what to change. Of several workers each has candidates, and
            the supervisor has the rollout that counts.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, loader: Loader, first: Loaded, known: Stamp
    ) -> None:
        figures = BundleFigures(metrics.registry)
        self.roster = Roster(loader.serve(first), loader.limits, metrics, figures)
        self.runs = loader.runs
        self._loader = loader
        self.candidates = Candidates(
            self.roster, loader, most=settings.max_bundles, patience=settings.drain_seconds
        )
        alone = settings.workers == 1
        reloads = ReloadFigures(metrics.registry if alone else CollectorRegistry())
        self.rollout = Rollout(self.candidates, settings.bundle, reloads)
        self._watch = Watch(settings.bundle, known, self.rollout.try_reload)
        self._watches = settings.watch_bundle

    @classmethod
    async def load(cls, settings: Settings, metrics: Metrics) -> Self:
        """Load the first bundle.

        Raises:
            BundleError: it cannot be served.
            StartError: the engine cannot run here.
        """
        recall = open_recall(settings.cache_mb, metrics.registry, metrics)
        loader = Loader(settings, metrics, recall)
        known = await asyncio.to_thread(stamp, settings.bundle)
        first = await in_background(lambda: _load_first(settings, loader))
        return cls(settings, metrics, loader, first, known)

    def start(self) -> None:
        """Take calls."""
        self.roster.primary.batcher.start()

    def settle(self) -> None:
        """Do what is left to do once calls are answered."""
        self.roster.primary.model.warm_rest()
        if self._watches:
            self._watch.start()

    async def hold(self) -> None:
        """Begin no change any more, and give up one that is under way."""
        self._loader.give_up()
        await self._watch.close()
        await self.rollout.close()

    async def free(self) -> None:
        """Free all memory, once no call is under way."""
        await self.candidates.discard()
        await self.roster.free()


def _load_first(settings: Settings, loader: Loader) -> Loaded:
    # The heads' products are small, and threads of their own would spin beside the encoder's.
    threadpool_limits(1, user_api="blas")
    # The engine's thread must not wait long for the event loop to let go of the interpreter.
    sys.setswitchinterval(_SWITCH_SECONDS)
    seldom_collect()
    loaded = loader.load(settings.bundle)
    return_memory()
    return loaded
