"""HTTP/2 frames that are wrong in a few places, each lot on a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tests.bench.wire import PREFACE, frame
from tests.chaos.frames import (
    CONTINUATION,
    END_HEADERS,
    GOAWAY,
    PING,
    PRIORITY,
    PUSH,
    WINDOW,
    call,
    reset,
    settings,
)
from tests.fuzz import seeds
from tests.fuzz.mutations import mutated

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.fuzz.oracle import Verdicts

_AT_ONCE = 8
_PATIENCE = 0.1
"""Seconds to wait for answers: gRPC says nothing to many of these, and waits on."""


class FrameFuzz:
    """Sends frames that were never meant; arguments as for gRPC."""

    def __init__(self, address: str, rng: random.Random, verdicts: Verdicts, size: int) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._rng = rng
        self._verdicts = verdicts
        bodies = seeds.pool(seeds.ANNOTATE, size, rng.randrange(2**32))
        self._calls = [call(address, 1, body[:8_000]) for body in bodies]
        self._others = [
            frame(PING, 0, 0, bytes(8)),
            frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"),
            frame(WINDOW, 0, 1, bytes(4)),
            frame(PRIORITY, 0, 1, bytes(5)),
            frame(PUSH, END_HEADERS, 1, bytes(4)),
            frame(GOAWAY, 0, 0, bytes(8)),
            frame(CONTINUATION, 0, 1, bytes(3)),
            frame(99, 255, 1, b"what is this"),
            reset(1),
            settings(window=2**31 - 1),
            settings(window=2**32 - 1),
        ]

    async def run(self, requests: int) -> None:
        """Send so many lots."""
        numbers = iter(range(requests))
        await asyncio.gather(*(self._send(numbers) for _ in range(_AT_ONCE)))

    async def _send(self, numbers: Iterator[int]) -> None:
        for _ in numbers:
            lot = b"".join(self._rng.choices([*self._others, *self._calls[:20]], k=2))
            lot = settings() + self._rng.choice(self._calls) + lot
            lot = mutated(lot, self._calls, self._rng)
            await self._one(PREFACE + lot)

    async def _one(self, request: bytes) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        answer = b""
        with contextlib.suppress(TimeoutError, OSError):
            writer.write(request)
            writer.write_eof()
            async with asyncio.timeout(_PATIENCE):
                while part := await reader.read(1 << 16):
                    answer += part
        writer.close()
        self._verdicts.raw("frames", answer, request)
