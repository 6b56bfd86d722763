"""What is answered over HTTP while a server shuts down arrives; the deaf hold up nobody."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time

import pytest
from background_server import PATIENCE, quiet_settings, until
from door import Door

from polyhead_server.lifecycle import start_server

MANY = 12_000
DRAIN_SECONDS = 2.0
WORDS = "the fans in the word went"
TEXTS = {"name": "text", "datatype": "BYTES", "shape": [MANY], "data": [WORDS] * MANY}
BODY = json.dumps({"inputs": [TEXTS]})
MORE_THAN_THE_SYSTEM_HOLDS = 5_000_000
"""Bytes that the system takes from a server for a caller that does not read: 4 MB at most."""
PATH = "/v2/models/pos/infer"


@pytest.fixture
async def start(tiny_bundle):
    servers = []

    async def start(**settings):
        large = {"max_documents": MANY, "queue_tokens": 10_000_000, "inference_http_port": 0}
        servers.append(await start_server(quiet_settings(tiny_bundle, **large, **settings)))
        return servers[-1]

    yield start
    for server in servers:
        await server.stop()


def port_of(server) -> int:
    return int(server.ready.inference.rpartition(":")[2])


async def begun(server) -> None:
    await until(lambda: server._calls._under_way == 1)


def ask(port) -> bytes:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        asking.request("POST", PATH, BODY)
        return asking.getresponse().read()
    finally:
        asking.close()


async def test_slow_line(start):
    """A large answer is whole although the line takes seconds for it."""
    server = await start(drain_seconds=PATIENCE)
    door = Door(port_of(server), pause=0.02)
    asking = asyncio.create_task(asyncio.to_thread(ask, door.port))
    await begun(server)
    assert await server.stop()
    answer = await asking
    door.close()
    assert len(answer) > MORE_THAN_THE_SYSTEM_HOLDS
    assert json.loads(answer)["outputs"]


async def test_reads_nothing(start):
    """A caller that reads no answer is waited for until the limit, not longer."""
    server = await start(drain_seconds=DRAIN_SECONDS)
    head = f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(BODY)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port_of(server))) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        await asyncio.to_thread(deaf.sendall, (head + BODY).encode())
        await begun(server)
        stopping = time.monotonic()
        assert not await server.stop()
        assert DRAIN_SECONDS <= time.monotonic() - stopping < 2 * DRAIN_SECONDS + 2
