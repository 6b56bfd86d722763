"""Calls that go on all the while something else happens, none of them repeated."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import grpc

from polyhead.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc

CALLERS = 4
REQUEST = pb.AnnotateRequest(documents=[doc.Document(text="the fans in words")], tasks=["*"])


class Load:
    """Callers without patience: every failure is one.

    Attributes:
        versions: answers by the version of the bundle that gave them.
    """

    def __init__(self, stub) -> None:
        self.versions: Counter[str] = Counter()
        self._stub = stub
        self._over = False

    async def more(self, calls: int = 5 * CALLERS) -> None:
        """Wait for some more answers."""
        goal = self.versions.total() + calls
        while self.versions.total() < goal:  # noqa: ASYNC110 - the callers have no event
            await asyncio.sleep(0.001)

    async def call(self) -> None:
        while not self._over:
            answer = await self._stub.Annotate(REQUEST)
            self.versions[answer.bundle_version] += len(answer.annotations)

    async def stream(self) -> None:
        """Messages over one stream."""
        item = pb.StreamItem(id="a", document=REQUEST.documents[0])
        request = pb.AnnotateStreamRequest(items=[item], tasks=["*"])
        stream = self._stub.AnnotateStream()
        while not self._over:
            await stream.write(request)
            answer = await stream.read()
            assert answer.outcomes[0].WhichOneof("outcome") == "annotation"
            self.versions[answer.bundle_version] += 1
        await stream.done_writing()

    def end(self) -> None:
        self._over = True


@contextlib.asynccontextmanager
async def under_load(stub):
    """Calls and a stream go on in here; each must be answered."""
    load = Load(stub)
    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(load.call())
        callers.create_task(load.stream())
        await load.more()
        try:
            yield load
        finally:
            load.end()


def point(link, target) -> None:
    """Let a link lead elsewhere, in one step."""
    fresh = link.with_name("fresh")
    fresh.symlink_to(target)
    fresh.replace(link)


@contextlib.asynccontextmanager
async def admin_of(server):
    """A stub for the admin port of a server."""
    async with grpc.aio.insecure_channel(server.ready.admin) as channel:
        yield AdminServiceStub(channel)
