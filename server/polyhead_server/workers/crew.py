"""A rollout over several workers: everywhere or nowhere, as far as that can be had."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import structlog
from google.protobuf import json_format

from polyhead.admin.v1 import admin_service_pb2 as pb
from polyhead_server.errors import RequestError, RolloutError
from polyhead_server.rollout.candidates import Staged
from polyhead_server.workers.orders import answer_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.workers.orders import Order
    from polyhead_server.workers.worker import Worker

_log = structlog.get_logger(__name__)


class WorkerCrew:
    """Has every worker do what a rollout wants done.

    A bundle is loaded by one worker after the other, so that the others serve meanwhile, and a
    bundle that ends a process ends only one. Only when all have it, all let it serve.
    """

    def __init__(self) -> None:
        self._workers: list[Worker] = []
        self._wanted: pb.ListBundlesResponse | None = None

    @property
    def path(self) -> str | None:
        """Folder of the primary that a further worker is to start with; None where not known."""
        return None if self._wanted is None else self._wanted.bundles[0].path

    @property
    def tasks(self) -> Sequence[str] | None:
        """Heads of the primary; None where not known."""
        return None if self._wanted is None else self._wanted.bundles[0].tasks

    async def stage(self, path: str, *, beside: bool) -> Staged:
        """Load a bundle in every worker.

        Raises:
            RolloutError: one of them cannot.
        """
        staged: list[Staged] = []
        try:
            for worker in self._ready():
                answer = await _ask(worker, {"do": "stage", "path": path, "beside": beside})
                bundle = json_format.ParseDict(answer["bundle"], pb.Bundle())
                staged.append(Staged(bundle, answer["unchanged"]))
                if bundle.identity != staged[0].bundle.identity:
                    raise RolloutError("BUNDLE_REFUSED", f"{path}: it was changed meanwhile")
        except RequestError:
            await self._everywhere({"do": "discard"})
            raise
        return Staged(staged[0].bundle, all(one.unchanged for one in staged))

    async def commit(self, identity: str, *, beside: bool) -> None:
        """Let a bundle that all workers have take its place.

        Raises:
            RolloutError: a worker has lost it.
        """
        await self._everywhere({"do": "commit", "identity": identity, "beside": beside})
        await self._note()

    async def listing(self) -> pb.ListBundlesResponse:
        """The bundles and the traffic, which are the same for all."""
        for worker in self._ready():
            with contextlib.suppress(_GoneError):
                answer = await _ask(worker, {"do": "listing"})
                return json_format.ParseDict(answer, pb.ListBundlesResponse())
        raise _GoneError

    async def set_traffic(self, traffic: pb.Traffic) -> None:
        """Send calls elsewhere.

        Raises:
            InvalidRequestError: they cannot be sent there.
        """
        await self._everywhere({"do": "traffic", "traffic": json_format.MessageToDict(traffic)})
        await self._note()

    async def unload(self, version: str) -> None:
        """Free a bundle in every worker.

        Raises:
            NotFoundError: it is not loaded.
            RolloutError: it is the primary.
        """
        await self._everywhere({"do": "unload", "version": version})
        await self._note()

    async def welcome(self, worker: Worker) -> bool:
        """Count a worker in that has just started, and bring it to where the others are.

        Returns:
            Whether it came there; False where it serves another primary.
        """
        self._workers.append(worker)
        if self._wanted is None:
            await self._note()
            return True
        return await self.lead(worker)

    async def lead(self, worker: Worker) -> bool:
        """Bring a worker to where the others are.

        Returns:
            Whether it came there; False where it serves another primary.
        """
        answer = await _ask(worker, {"do": "listing"})
        there = {bundle["identity"] for bundle in answer["bundles"]}
        if self._wanted is not None and self._wanted.bundles[0].identity not in there:
            return False
        for order in self.beside():
            await _ask(worker, order)
        return True

    def beside(self) -> list[Order]:
        """What gives a worker with the same primary the other bundles, and their traffic."""
        if self._wanted is None:
            return []
        orders: list[Order] = []
        for bundle in self._wanted.bundles[1:]:
            orders.append({"do": "stage", "path": bundle.path, "beside": True})
            orders.append({"do": "commit", "identity": bundle.identity, "beside": True})
        traffic = json_format.MessageToDict(self._wanted.traffic)
        return [*orders, {"do": "traffic", "traffic": traffic}]

    async def _note(self) -> None:
        self._wanted = await self.listing()

    def _ready(self) -> Sequence[Worker]:
        self._workers = [worker for worker in self._workers if not worker.gone]
        if not self._workers:
            raise RolloutError("NO_WORKER", "no worker is ready")
        return self._workers

    async def _everywhere(self, order: Order) -> None:
        """Give an order to all; those that end meanwhile are replaced by others anyway.

        Raises:
            RequestError: the first error.
        """
        asked = [_ask(worker, order) for worker in self._ready()]
        found = await asyncio.gather(*asked, return_exceptions=True)
        errors = [one for one in found if isinstance(one, BaseException)]
        errors = [one for one in errors if not isinstance(one, _GoneError)]
        if 0 < len(errors) < len(asked):
            _log.error("workers_differ", order=order["do"], errors=[str(one) for one in errors])
        if errors:
            raise errors[0]


class _GoneError(RolloutError):
    """A worker ended before it had carried out its order."""

    def __init__(self) -> None:
        super().__init__("BUNDLE_REFUSED", "a worker ended while it was asked")


async def _ask(worker: Worker, order: Order) -> Any:
    report = await worker.order(order)
    if report is None:
        raise _GoneError
    return answer_of(report)
