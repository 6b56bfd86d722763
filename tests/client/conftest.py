"""A service to call, and both clients behind one face, so that one test holds both to it."""

import asyncio
from contextlib import ExitStack, aclosing

import pytest

from polyhead import AsyncClient, Client, RetryPolicy
from polyhead.testing import serve

QUICK = RetryPolicy(max_attempts=4, initial_backoff=0.001, max_backoff=0.002)


class SyncFace:
    """The sync client; streams as lists."""

    def __init__(self, target, **options):
        self.client = Client(target, **options)
        self.annotate = self.client.annotate
        self.annotate_many = self.client.annotate_many
        self.list_tasks = self.client.list_tasks
        self.health = self.client.health
        self.wait_ready = self.client.wait_ready
        self.close = self.close_client = self.client.close

    def stream(self, items, *args, take=None, **options):
        """Run a stream to its end, or leave it after `take` outcomes."""
        found = []
        outcomes = self.client.annotate_stream(items, *args, **options)
        for outcome in outcomes:
            found.append(outcome)
            if len(found) == take:
                break
        outcomes.close()
        return found


class AsyncFace:
    """The async client, driven from plain code."""

    def __init__(self, target, **options):
        self._runner = asyncio.Runner()
        self.client = AsyncClient(target, **options)

    def __getattr__(self, name):
        def call(*args, **options):
            async def inside():
                return await getattr(self.client, name)(*args, **options)

            return self._runner.run(inside())

        return call

    def close_client(self):
        self._runner.run(self.client.close())

    def close(self):
        self.close_client()
        self._runner.close()

    def stream(self, items, *args, take=None, **options):
        """Run a stream to its end, or leave it after `take` outcomes."""

        async def inside():
            found = []
            async with aclosing(self.client.annotate_stream(items, *args, **options)) as outcomes:
                async for outcome in outcomes:
                    found.append(outcome)
                    if len(found) == take:
                        break
            return found

        return self._runner.run(inside())


@pytest.fixture
def service():
    """A running service."""
    with serve() as running:
        yield running


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "async"])
def connect(request):
    """Connects a client, of each kind in turn, with retries that do not dawdle."""
    with ExitStack() as stack:

        def make(target, **options):
            face = request.param(target, **{"retry": QUICK, **options})
            stack.callback(face.close)
            return face

        yield make


@pytest.fixture
def client(connect, service):
    """A client of each kind, connected to the service."""
    return connect(service.address)
