"""Brings bundles in and out, whoever asks for it: a signal, a watch or the admin port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from polyhead.admin.v1 import admin_service_pb2 as pb
from polyhead_server.errors import RequestError, RolloutError
from polyhead_server.rollout.figures import FAILED, RELOADED, UNCHANGED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from polyhead_server.rollout.candidates import Staged
    from polyhead_server.rollout.figures import ReloadFigures

T = TypeVar("T")

_PASSING = frozenset({"NO_ROOM", "NO_WORKER"})
"""Reasons that pass by themselves."""

_log = structlog.get_logger(__name__)


class Crew(Protocol):
    """Does what a rollout wants done: in this process, or in each worker."""

    async def stage(self, path: str, *, beside: bool) -> Staged:
        """Load a bundle everywhere, ready to serve; where it fails, nowhere is anything left."""

    async def commit(self, identity: str, *, beside: bool) -> None:
        """Let a bundle that is staged or loaded take its place."""

    async def listing(self) -> pb.ListBundlesResponse:
        """The bundles and the traffic."""

    async def set_traffic(self, traffic: pb.Traffic) -> None:
        """Send calls elsewhere."""

    async def unload(self, version: str) -> None:
        """Free a bundle once it has answered its calls."""


class Rollout:
    """Changes what is served, one change at a time.

    A change that was begun goes on to its end, even where nobody waits for it any more.

    Args:
        crew: does it.
        default: folder of the bundle that the server was started with.
        figures: is told how reloads went.
    """

    def __init__(self, crew: Crew, default: Path, figures: ReloadFigures) -> None:
        self._crew = crew
        self._default = str(default.absolute())
        self._figures = figures
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def reload(self, path: str = "", *, beside: bool = False) -> pb.ReloadBundleResponse:
        """Load a bundle, and let it take the primary's place.

        Args:
            path: its folder; none for that of the start.
            beside: leave the primary as it is.

        Raises:
            RolloutError: the bundle is not fit; nothing has changed.
        """
        return await self.alone(lambda: self._reload(path or self._default, beside=beside))

    async def try_reload(self, path: str = "") -> bool:
        """Load a bundle, that of the start for none; what goes wrong stands in log and metrics.

        Returns:
            Whether the same may go well later: no fault of the bundle stood in its way.
        """
        try:
            await self.reload(path)
        except RequestError as error:
            return isinstance(error, RolloutError) and error.reason in _PASSING
        return False

    def ask(self, path: str = "") -> None:
        """Begin to load a bundle, that of the start for none."""
        self._keep(asyncio.create_task(self.try_reload(path)))

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def listing(self) -> pb.ListBundlesResponse:
        """The bundles and the traffic."""
        return await self._crew.listing()

    async def set_traffic(self, traffic: pb.Traffic) -> pb.Traffic:
        """Send calls elsewhere; which calls go where then.

        Raises:
            InvalidRequestError: they cannot be sent there.
        """
        return await self.alone(lambda: self._set_traffic(traffic))

    async def unload(self, version: str) -> None:
        """Free a bundle once it has answered its calls.

        Raises:
            NotFoundError: it is not loaded.
            RolloutError: it is the primary.
        """
        await self.alone(lambda: self._crew.unload(version))

    async def alone(self, change: Callable[[], Awaitable[T]]) -> T:
        """Do something while nothing else changes."""

        async def locked() -> T:
            async with self._lock:
                return await change()

        task = asyncio.create_task(locked())
        self._keep(task)
        return await asyncio.shield(task)

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left to look at it

    async def _reload(self, path: str, *, beside: bool) -> pb.ReloadBundleResponse:
        try:
            staged = await self._crew.stage(path, beside=beside)
            await self._crew.commit(staged.bundle.identity, beside=beside)
        except Exception as error:
            self._figures.ended(FAILED)
            _log.error("reload_failed", path=path, reason=str(error))
            raise
        self._figures.ended(UNCHANGED if staged.unchanged else RELOADED)
        _log.info(
            "reloaded",
            path=path,
            version=staged.bundle.version,
            beside=beside,
            unchanged=staged.unchanged,
        )
        return pb.ReloadBundleResponse(bundle=staged.bundle, unchanged=staged.unchanged)

    async def _set_traffic(self, traffic: pb.Traffic) -> pb.Traffic:
        await self._crew.set_traffic(traffic)
        now = (await self._crew.listing()).traffic
        _log.info("traffic", **{name: str(value) for name, value in _plain(now).items()})
        return now


def _plain(traffic: pb.Traffic) -> dict[str, object]:
    return {
        "primary": traffic.primary_version,
        "canaries": {share.bundle_version: share.part for share in traffic.canaries},
        "shadows": {share.bundle_version: share.part for share in traffic.shadows},
    }
