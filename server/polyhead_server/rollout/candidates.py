"""What one process does for a rollout: bundles are loaded, and take or leave their places."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog

from polyhead.admin.v1 import admin_service_pb2 as pb
from polyhead_server.bundle import identify_bundle
from polyhead_server.errors import STOPS, BundleError, RolloutError, StartError
from polyhead_server.niceness import in_background
from polyhead_server.rollout.messages import bundle_message, read_traffic, traffic_message

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from polyhead_server.rollout.loading import Loaded, Loader
    from polyhead_server.rollout.roster import Roster
    from polyhead_server.rollout.served import Served

T = TypeVar("T")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Staged:
    """A bundle that is ready to take its place."""

    bundle: pb.Bundle
    unchanged: bool
    """It was loaded already."""


class Candidates:
    """Loads bundles beside those on a roster, and changes that. One thing at a time.

    Args:
        roster: what is served.
        loader: loads.
        most: bundles in memory at most.
        patience: seconds to wait for a bundle on its way out, where memory is needed.
    """

    def __init__(self, roster: Roster, loader: Loader, *, most: int, patience: float) -> None:
        self._roster = roster
        self._loader = loader
        self._most = most
        self._patience = patience
        self._staged: Served | None = None

    async def stage(self, path: str, *, beside: bool) -> Staged:
        """Load a bundle, ready to serve, without a call for it yet.

        Args:
            path: its folder.
            beside: it is not to take the primary's place.

        Raises:
            RolloutError: it cannot be; what was loaded for it is freed.
        """
        await self.discard()
        found = await _refusing(asyncio.to_thread(identify_bundle, Path(path)))
        there = self._loaded(found.identity)
        if there is not None:
            return Staged(bundle_message(there), unchanged=True)
        self._check_version(found.version, beside=beside)
        await self._make_room()
        loaded = await self._load(Path(path))
        served = self._staged = self._loader.serve(loaded)
        if served.bundle.identity != found.identity:
            await self.discard()
            raise RolloutError("BUNDLE_REFUSED", f"{path}: it was changed meanwhile")
        served.batcher.start()
        return Staged(bundle_message(served), unchanged=False)

    async def commit(self, identity: str, *, beside: bool) -> None:
        """Let a staged bundle, or one that is there already, take its place.

        Raises:
            RolloutError: there is no such bundle.
        """
        served = self._loaded(identity)
        if served is None:
            served = self._staged
            if served is None or served.bundle.identity != identity:
                raise RolloutError("BUNDLE_REFUSED", "the bundle is not loaded any more")
            self._staged = None
            self._warn_of_lost_heads(served)
            self._roster.add(served)
        if not beside:
            self._roster.promote(served)

    async def discard(self) -> None:
        """Free what was staged and not committed."""
        served, self._staged = self._staged, None
        if served is not None:
            await served.close()

    async def listing(self) -> pb.ListBundlesResponse:
        """The bundles and the traffic."""
        return pb.ListBundlesResponse(
            bundles=[bundle_message(served) for served in self._roster.served],
            traffic=traffic_message(self._roster.traffic),
        )

    async def set_traffic(self, traffic: pb.Traffic) -> None:
        """Send calls elsewhere.

        Raises:
            InvalidRequestError: they cannot be sent there.
        """
        self._roster.set_traffic(read_traffic(traffic, self._roster.primary.version))

    async def unload(self, version: str) -> None:
        """Free a bundle once it has answered its calls.

        Raises:
            NotFoundError: it is not loaded.
            RolloutError: it is the primary.
        """
        served = self._roster.find(version)
        if served is self._roster.primary:
            raise RolloutError("PRIMARY", f"{version!r} is the primary: name another one first")
        await self._roster.remove(served)

    def _loaded(self, identity: str) -> Served | None:
        same = [one for one in self._roster.served if one.bundle.identity == identity]
        return same[0] if same else None

    def _check_version(self, version: str, *, beside: bool) -> None:
        taken = [one for one in self._roster.served if one.version == version]
        if taken and (beside or taken[0] is not self._roster.primary):
            raise RolloutError(
                "VERSION_IN_USE",
                f"another bundle of version {version!r} is loaded: give each its own version",
            )

    async def _make_room(self) -> None:
        if self._roster.in_memory >= self._most:
            await self._roster.room(self._patience)
        there = self._roster.in_memory
        if there >= self._most:
            raise RolloutError(
                "NO_ROOM",
                f"{there} bundles are in memory, and {self._most} may be: unload one, or raise "
                "max_bundles",
            )

    async def _load(self, path: Path) -> Loaded:
        return await _refusing(in_background(lambda: self._loader.load(path, aside=True)))

    def _warn_of_lost_heads(self, served: Served) -> None:
        lost = [head.name for head in self._roster.bundle.heads if not served.has([head.name])]
        if lost:
            _log.warning("heads_lost", version=served.version, heads=lost)


async def _refusing(loading: Awaitable[T]) -> T:
    """Wait for something about a bundle; whatever goes wrong is a reason to refuse that.

    Raises:
        RolloutError: it went wrong.
    """
    try:
        return await loading
    except (BundleError, StartError) as error:
        raise RolloutError("BUNDLE_REFUSED", str(error)) from None
    except STOPS:
        raise
    except BaseException as error:  # noqa: BLE001 - the old bundle serves on, whatever it is
        _log.exception("bundle_not_loaded")
        kind = type(error).__name__
        text = f"the bundle cannot be loaded, and the log says more: {kind}"
        raise RolloutError("BUNDLE_REFUSED", text) from None
