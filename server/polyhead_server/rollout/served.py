"""One loaded bundle with all that it takes to answer calls."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from polyhead_server.checks import EVERY_TASK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyhead_server.annotator import Annotator
    from polyhead_server.batcher import Batcher
    from polyhead_server.bundle import Bundle
    from polyhead_server.model import Job, Model, WindowOutput
    from polyhead_server.rollout.cores import SharedEngine
    from polyhead_server.rollout.figures import VersionFigures


_log = structlog.get_logger(__name__)


class Served:
    """A bundle that can answer calls. Whoever calls it holds it with `with`, so that it stays.

    Args:
        model: the loaded bundle.
        engine: the model's.
        batcher: leads to that.
        annotator: answers calls.
        copyist: answers copies of calls: nothing that it does is counted or kept.

    Attributes:
        model: the loaded bundle.
        batcher: leads to the engine.
        loaded_at: Unix time.
        figures: the metrics of its version, once it is on a roster.
    """

    figures: VersionFigures

    def __init__(
        self,
        model: Model,
        engine: SharedEngine,
        batcher: Batcher[Job, WindowOutput],
        annotator: Annotator,
        copyist: Annotator,
    ) -> None:
        self.model = model
        self.batcher = batcher
        self.copyist = copyist
        self.loaded_at = time.time()
        self._engine = engine
        self._annotator = annotator
        self._users = 0
        self._free = asyncio.Event()
        self._free.set()

    @property
    def bundle(self) -> Bundle:
        """The bundle."""
        return self.model.bundle

    @property
    def version(self) -> str:
        """Version of the bundle."""
        return self.model.bundle.version

    def has(self, tasks: Iterable[str]) -> bool:
        """Whether the bundle has all of these heads; `*` is had by every bundle."""
        return {EVERY_TASK, *(head.name for head in self.bundle.heads)}.issuperset(tasks)

    def give_way(self, yields: int) -> None:
        """Have its engine leave so many turns to others before each of its own."""
        self._engine.yields = yields

    def hold(self) -> None:
        """Keep it from closing, until `let_go`."""
        self._users += 1
        self._free.clear()

    def let_go(self) -> None:
        """Need it no more."""
        self._users -= 1
        if not self._users:
            self._free.set()

    def __enter__(self) -> Annotator:
        self.hold()
        return self._annotator

    def __exit__(self, *_: object) -> None:
        self.let_go()

    async def retire(self) -> None:
        """Close once the last call has its answer."""
        await self._free.wait()
        await self.close()

    async def close(self) -> None:
        """End threads and free memory; calls that wait are refused.

        An engine that does not come back keeps its memory: waiting for it would be for good.
        """
        ended = await self.batcher.close()
        self._annotator.close()
        self.copyist.close()
        if ended:
            await asyncio.to_thread(self.model.close)
        else:
            _log.warning("engine_left_behind", version=self.version)
