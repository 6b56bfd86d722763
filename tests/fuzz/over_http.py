"""Right and wrong bodies, and right and wrong HTTP, to the port of the Open Inference Protocol."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from tests.fuzz import seeds
from tests.fuzz.mutations import mutated

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.fuzz.oracle import Verdicts

_PATIENCE = 60.0
_AT_ONCE = 8
_RAW_SHARE = 0.15
_RAW_PATIENCE = 0.3
"""Seconds to wait for an answer to what may well be half a request."""
_PATHS = (
    *(b"/v2/models/sentiment/infer", b"/v2/models/polyhead/infer", b"/v2/models/x/infer"),
    *(
        b"/v2/repository/index",
        b"/v2/models/pos/versions/1/infer",
        b"/v2/%ff%00",
        b"/v2/models/a%2Fb",
    ),
)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class HttpFuzz:
    """Sends what was never meant, and judges the answers; arguments as for gRPC."""

    def __init__(self, address: str, rng: random.Random, verdicts: Verdicts, size: int) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._rng = rng
        self._verdicts = verdicts
        self._bodies = seeds.pool(seeds.INFER_JSON, size, rng.randrange(2**32))

    async def run(self, requests: int) -> None:
        """Send so many."""
        numbers = iter(range(requests))
        await asyncio.gather(*(self._send(numbers) for _ in range(_AT_ONCE)))

    async def _send(self, numbers: Iterator[int]) -> None:
        connection = None
        for _ in numbers:
            if self._rng.random() < _RAW_SHARE:
                await self._raw()
                continue
            if connection is None:
                connection = await asyncio.open_connection(self._host, self._port)
            if not await self._post(*connection):
                connection[1].close()
                connection = None
        if connection is not None:
            connection[1].close()

    def _request(self) -> bytes:
        body = self._rng.choice(self._bodies)
        if self._rng.random() < 0.6:
            body = mutated(body, self._bodies, self._rng)
        lines = [
            b"POST %b HTTP/1.1" % self._rng.choice(_PATHS),
            b"Host: a",
            b"Content-Length: %d" % len(body),
        ]
        if self._rng.random() < 0.2:
            length = self._rng.choice(
                [b"%d" % (len(body) // 2), b"-1", b"x", b"99999999999999999999"]
            )
            lines.append(b"Inference-Header-Content-Length: " + length)
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request on a connection that is kept; whether it can be used again."""
        request = self._request()
        try:
            async with asyncio.timeout(_PATIENCE):
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
        except TimeoutError:
            self._verdicts.problem("http: no answer", request)
            return False
        except (OSError, EOFError):
            self._verdicts.problem("http: closed without an answer", request)
            return False
        self._verdicts.http("http", int(head.split(b" ", 2)[1]), body, request)
        return b"connection: close" not in head.lower()

    async def _raw(self) -> None:
        """A request whose very head is wrong, on a connection of its own."""
        request = mutated(self._request(), self._bodies, self._rng)
        reader, writer = await asyncio.open_connection(self._host, self._port)
        answer = b""
        try:
            writer.write(request)  # and no end: the library answers nobody who hangs up
            async with asyncio.timeout(_RAW_PATIENCE):
                answer = await reader.read(1 << 16)
        except (TimeoutError, OSError):
            pass
        finally:
            writer.close()
        if b" 50" in answer[:20] and b" 501" not in answer[:20]:
            self._verdicts.problem(f"raw http: {answer[:200]!r}", request)
        head, _, body = answer.partition(b"\r\n\r\n")
        self._verdicts.raw("raw http", b"" if b" 200 " in head[:20] else head + body, request)
