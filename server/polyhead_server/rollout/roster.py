"""The bundles that are served, and which of them answers a call."""

from __future__ import annotations

import asyncio
import secrets
import time
from importlib.metadata import version as distribution_version
from typing import TYPE_CHECKING, TypeVar

import structlog

from polyhead_server.checks import shown
from polyhead_server.errors import NotFoundError
from polyhead_server.garbage import return_memory
from polyhead_server.rollout.cores import SHADOW_YIELDS
from polyhead_server.rollout.shadow import Shadowing
from polyhead_server.rollout.traffic import Traffic
from polyhead_server.schedule import Priority

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from polyhead_server.annotator import Annotated, Annotator
    from polyhead_server.bundle import Bundle
    from polyhead_server.checks import Limits
    from polyhead_server.encoding import Source
    from polyhead_server.errors import RequestError
    from polyhead_server.metrics import Metrics
    from polyhead_server.rollout.figures import BundleFigures
    from polyhead_server.rollout.served import Served

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_LAST_SECONDS = 1.0
"""Time for bundles on their way out, once no call is under way."""


class Roster:
    """Answers calls like an annotator, each with the bundle that it is for.

    Args:
        primary: the first bundle.
        limits: bounds on one request, the same for all bundles.
        metrics: is told which bundle is primary, and asks for the queues.
        figures: the metrics of the bundles beside each other.

    Attributes:
        limits: bounds on one request.
        traffic: which calls go where.
        primary: answers by default.
        on_change: called whenever another bundle may be primary.
    """

    def __init__(
        self, primary: Served, limits: Limits, metrics: Metrics, figures: BundleFigures
    ) -> None:
        self.limits = limits
        self.primary = primary
        self.traffic = Traffic(primary.version)
        self.on_change: Callable[[], object] = lambda: None
        self._metrics = metrics
        self._figures = figures
        self._served: dict[str, Served] = {}
        self._leaving: dict[Served, asyncio.Task[None]] = {}
        self._shadowing = Shadowing(figures)
        self.add(primary)
        metrics.watch_queue(
            lambda: self.waiting_items,
            lambda: sum(one.batcher.waiting_tokens for one in self._all()),
            lambda: self.primary.batcher.wait_seconds(),  # noqa: PLW0108 - primaries change
        )
        metrics.watch_lanes(
            lambda priority: sum(one.batcher.lane_tokens(priority) for one in self._all())
        )

    @property
    def bundle(self) -> Bundle:
        """The primary's bundle."""
        return self.primary.bundle

    @property
    def served(self) -> list[Served]:
        """All that answer calls, the primary first."""
        return [self.primary, *(one for one in self._served.values() if one is not self.primary)]

    @property
    def waiting_items(self) -> int:
        """Items that wait for an engine, whatever the bundle."""
        return sum(one.batcher.waiting_items for one in self._all())

    @property
    def in_memory(self) -> int:
        """Bundles in memory, those on their way out too."""
        return len(self._served) + len(self._leaving)

    def find(self, version: str = "") -> Served:
        """The bundle of that version; the primary for none.

        Raises:
            NotFoundError: it is not loaded.
        """
        found = self._served.get(version) if version else self.primary
        if found is None:
            known = ", ".join(repr(one.version) for one in self.served)
            raise NotFoundError(f"bundle version {shown(version)} is not loaded; there are {known}")
        return found

    async def annotate(
        self,
        sources: Sequence[Source | None],
        tasks: Sequence[str],
        *,
        deadline: float,
        priority: Priority = Priority.INTERACTIVE,
        version: str = "",
        key: str = "",
    ) -> Annotated:
        """Annotate documents that stand or fall together, as an annotator does.

        Args:
            sources: as for an annotator.
            tasks: likewise.
            deadline: likewise.
            priority: likewise.
            version: version of the bundle that is to answer; any for none.
            key: name of the call, by which it falls to a canary; the primary answers for none.

        Raises:
            NotFoundError: the version is not loaded.
            RequestError: what an annotator raises.
        """
        return await self._answer(
            lambda annotator: annotator.annotate(
                sources, tasks, deadline=deadline, priority=priority
            ),
            sources,
            self._pick(version, key, tasks),
            None if version else key,
        )

    async def annotate_items(
        self,
        sources: Sequence[Source | RequestError | None],
        tasks: Sequence[str],
        *,
        deadline: float,
        priority: Priority = Priority.BULK,
        version: str = "",
        key: str = "",
    ) -> Annotated:
        """Annotate documents each of which stands for itself; arguments as for `annotate`.

        Raises:
            NotFoundError: the version is not loaded.
            RequestError: what an annotator raises.
        """
        return await self._answer(
            lambda annotator: annotator.annotate_items(
                sources, tasks, deadline=deadline, priority=priority
            ),
            sources,
            self._pick(version, key, tasks),
            None if version else key,
        )

    async def work(self, size: int, function: Callable[[], T]) -> T:
        """Call a function: here where it works on few code points, else in a thread."""
        with self.primary as annotator:
            return await annotator.work(size, function)

    def add(self, served: Served) -> None:
        """Let a bundle answer calls that name its version, in the place of one of the same."""
        served.figures = self._figures.of(served.version, self._served.keys() | {served.version})
        self._served[served.version] = served
        self._tell()

    def promote(self, served: Served) -> None:
        """Let a bundle be primary; the one that was goes where nothing is left for it to do."""
        former = self.primary
        if served is former:
            return
        self.primary = served
        self.set_traffic(self.traffic.led_by(served.version))
        self._leave(former)

    def set_traffic(self, traffic: Traffic) -> None:
        """Send calls elsewhere from now on.

        Raises:
            InvalidRequestError: it cannot be so.
        """
        traffic.check(self._served)
        self.traffic = traffic
        self.primary = self._served[traffic.primary]
        self._tell()

    async def remove(self, served: Served) -> None:
        """Let a bundle that is not primary finish its calls, and go."""
        self.set_traffic(self.traffic.without(served.version))
        await asyncio.shield(self._leave(served))

    async def room(self, limit: float) -> None:
        """Wait until those on their way out are gone, `limit` seconds at most."""
        if self._leaving:
            await asyncio.wait(self._leaving.values(), timeout=limit)

    async def drain(self, limit: float) -> None:
        """Take no more work, and finish what there is, in `limit` seconds."""
        await self._shadowing.close()
        await asyncio.gather(*(one.batcher.drain(limit) for one in self._all()))

    async def close(self) -> None:
        """Refuse what still waits."""
        await asyncio.gather(*(one.batcher.close() for one in self._all()))

    async def free(self) -> None:
        """Free all memory, once no call is under way."""
        await self.room(_LAST_SECONDS)
        for task in self._leaving.values():
            task.cancel()
        for one in self._served.values():
            await one.close()

    def _all(self) -> list[Served]:
        return [*self._served.values(), *self._leaving]

    def _pick(self, version: str, key: str, tasks: Sequence[str]) -> Served:
        if version:
            return self.find(version)
        if key and self.traffic.canaries:
            canary = self.traffic.canary(key)
            if canary is not None and self._served[canary].has(tasks):
                return self._served[canary]
        return self.primary

    async def _answer(
        self,
        ask: Callable[[Annotator], Awaitable[Annotated]],
        sources: Sequence[Source | RequestError | None],
        served: Served,
        key: str | None,
    ) -> Annotated:
        """Have a bundle answer, and copy a part of what the primary answered.

        A pinned call has no key. One with an empty key has no name: it falls to shadows at random.
        """
        start = time.perf_counter()
        with served as annotator:
            try:
                annotated = await ask(annotator)
            except Exception as error:
                served.figures.failed(error)
                raise
            served.figures.answered(annotated.outcomes, time.perf_counter() - start)
        if self.traffic.shadows and key is not None and served is self.primary:
            for shadow in self.traffic.shadows_of(key or secrets.token_hex(8)):
                self._shadowing.copy(self._served[shadow], sources, annotated)
        return annotated

    def _leave(self, served: Served) -> asyncio.Task[None]:
        if self._served.get(served.version) is served:
            del self._served[served.version]
            self._figures.gone(served.version)
        task = self._leaving[served] = asyncio.create_task(self._retire(served))
        self._tell()
        return task

    async def _retire(self, served: Served) -> None:
        version = served.version
        try:
            await served.retire()
        finally:
            self._leaving.pop(served, None)
            self._tell_memory()
        del served
        await asyncio.to_thread(return_memory)
        _log.info("unloaded", version=version)

    def _tell(self) -> None:
        bundle = self.primary.bundle
        facts = self.primary.model.engine.facts
        self._metrics.describe(distribution_version("polyhead-server"), bundle.name, bundle.version)
        self._metrics.describe_engine(
            {name: getattr(facts, name) for name in type(facts).__slots__}
        )
        for version, served in self._served.items():
            shadow = self.traffic.role(version) == "shadow"
            served.give_way(SHADOW_YIELDS if shadow else 0)
        self._figures.traffic(self.traffic, self._served)
        self._tell_memory()
        self.on_change()

    def _tell_memory(self) -> None:
        self._figures.in_memory.set(self.in_memory)
