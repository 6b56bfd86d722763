"""What is answered over HTTP while a server shuts down arrives; the deaf hold up nobody."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time

from background_server import PATIENCE, begun, running
from door import Door

MANY = 12_000
DRAIN_SECONDS = 2.0
LARGE = {"max_documents": MANY, "queue_tokens": 10_000_000, "inference_http_port": 0}
WORDS = "the fans in the word went"
TEXTS = {"name": "text", "datatype": "BYTES", "shape": [MANY], "data": [WORDS] * MANY}
BODY = json.dumps({"inputs": [TEXTS]})
MORE_THAN_THE_SYSTEM_HOLDS = 5_000_000
"""Bytes that the system takes from a server for a caller that does not read: 4 MB at most."""
PATH = "/v2/models/pos/infer"


def port_of(server) -> int:
    return int(server.ready.inference.rpartition(":")[2])


def ask(port) -> bytes:
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        asking.request("POST", PATH, BODY)
        return asking.getresponse().read()
    finally:
        asking.close()


async def test_slow_line(tiny_bundle):
    """A large answer is whole although the line takes seconds for it."""
    async with running(tiny_bundle, **LARGE, drain_seconds=PATIENCE) as (server, _):
        door = Door(port_of(server), pause=0.02)
        asking = asyncio.create_task(asyncio.to_thread(ask, door.port))
        await begun(server)
        assert await server.stop()
        answer = await asking
        door.close()
    assert len(answer) > MORE_THAN_THE_SYSTEM_HOLDS
    assert json.loads(answer)["outputs"]


async def test_reads_nothing(tiny_bundle):
    """A caller that reads no answer is waited for until the limit, not longer."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(BODY)}\r\n\r\n"
    async with running(tiny_bundle, **LARGE, drain_seconds=DRAIN_SECONDS) as (server, _):
        with socket.create_connection(("127.0.0.1", port_of(server))) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            await asyncio.to_thread(deaf.sendall, (head + BODY).encode())
            await begun(server)
            stopping = time.monotonic()
            assert not await server.stop()
            assert DRAIN_SECONDS <= time.monotonic() - stopping < 2 * DRAIN_SECONDS + 2
