"""What was written to a connection is waited for, and nothing is kept of the search for it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

import pytest
from background_server import PATIENCE, until

from polyhead_server.taken import Connections

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked")
WHILE = 0.2


@pytest.fixture
def connect():
    """Make connections: our end, the other one, and what gRPC would call that."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))

        def one():
            other = stack.enter_context(socket.create_connection(listener.getsockname()))
            own = stack.enter_context(listener.accept()[0])
            return own, other, f"ipv4:127.0.0.1:{other.getsockname()[1]}"

        yield one


def fill(own):
    """Write as much as the system keeps for an end that does not read."""
    own.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            own.send(bytes(65_536))


def read(other):
    other.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while other.recv(1 << 20):
            pass


async def waits_until_read(connections, other, peer):
    waiting = asyncio.create_task(connections.taken(peer))
    await asyncio.wait([waiting], timeout=WHILE)
    assert not waiting.done()

    def done():
        read(other)
        return waiting.done()

    await until(done)
    await waiting


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_waits_until_all_was_read(connect):
    """What the other end has not read yet is not taken."""
    own, other, peer = connect()
    fill(own)
    await waits_until_read(Connections(), other, peer)


async def test_a_connection_made_since(connect):
    """What was found before is not taken for a later connection, though its file be the same."""
    connections = Connections()
    first, _, peer = connect()
    await asyncio.wait_for(connections.taken(peer), PATIENCE)
    number = first.fileno()
    first.close()
    own, other, later = connect()
    assert number in {own.fileno(), other.fileno()}
    fill(own)
    await waits_until_read(connections, other, later)
    await asyncio.wait_for(connections.taken(peer), PATIENCE)


async def test_many_at_once(connect):
    """Each waits for its own; whoever stops waiting leaves nothing open."""
    connections = Connections()
    quiet = [connect() for _ in range(100)]
    deaf = [connect() for _ in range(20)]
    for own, _, _ in deaf:
        fill(own)
    before = open_files()
    waiting = [asyncio.create_task(connections.taken(peer)) for *_, peer in deaf]
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(connections.taken(peer) for *_, peer in quiet))
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert open_files() == before


@pytest.mark.parametrize(
    "peer", ["ipv4:127.0.0.1:1", "ipv6:%5B::1%5D:1", "unix:/run/socket", "unknown", ""]
)
async def test_not_found(peer):
    """A connection that is not there is not waited for, and the search leaves no file open."""
    before = open_files()
    await asyncio.wait_for(Connections().taken(peer), PATIENCE)
    assert open_files() == before
