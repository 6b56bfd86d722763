"""Right and wrong messages over gRPC, many at a time over few connections."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import grpc

from tests.chaos.server import OWN_CONNECTION
from tests.fuzz import seeds
from tests.fuzz.mutations import mutated

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Iterator, Sequence

    from tests.fuzz.oracle import Verdicts

_ANNOTATION = "/polyhead.v1.AnnotationService/"
_INFERENCE = "/inference.GRPCInferenceService/"
_STREAMS = (
    f"{_ANNOTATION}AnnotateStream",
    f"{_INFERENCE}ModelStreamInfer",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
_PATIENCE = 60.0
"""Seconds after which a call hangs: everything that is asked for is small."""
_CONNECTIONS = 4
_AT_ONCE = 16
_STREAM_SHARE = 0.1
_OUR_OWN = "Internal error from Core"
"""What grpc's client makes of writing to a stream that the server has just ended."""


class GrpcFuzz:
    """Sends what was never meant, and judges the answers.

    Args:
        address: of the server.
        rng: what is random.
        verdicts: where answers are judged.
        size: of the pools that it chooses from.
    """

    def __init__(self, address: str, rng: random.Random, verdicts: Verdicts, size: int) -> None:
        self._address = address
        self._rng = rng
        self._verdicts = verdicts
        number = rng.randrange(2**32)
        annotate = seeds.pool(seeds.ANNOTATE, size, number)
        infer = seeds.pool(seeds.INFER, size, number)
        self._streams = seeds.pool(seeds.STREAM, size, number)
        self._calls = {
            f"{_ANNOTATION}Annotate": annotate,
            f"{_ANNOTATION}ListTasks": annotate,
            f"{_INFERENCE}ModelInfer": infer,
            f"{_INFERENCE}ModelMetadata": infer,
            f"{_INFERENCE}ModelConfig": infer,
            f"{_INFERENCE}ModelReady": infer,
            f"{_INFERENCE}RepositoryIndex": infer,
            "/grpc.health.v1.Health/Check": infer,
            f"{_ANNOTATION}Nothing": annotate,
        }
        self._weights = [40, 3, 30, 3, 3, 3, 3, 3, 2]

    async def run(self, requests: int) -> None:
        """Send so many."""
        numbers = iter(range(requests))
        async with contextlib.AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(
                    grpc.aio.insecure_channel(self._address, options=OWN_CONNECTION)
                )
                for _ in range(_CONNECTIONS)
            ]
            senders = [self._send(numbers, channels[n % len(channels)]) for n in range(_AT_ONCE)]
            await asyncio.gather(*senders)

    async def _send(self, numbers: Iterator[int], channel: grpc.aio.Channel) -> None:
        for _ in numbers:
            if self._rng.random() < _STREAM_SHARE:
                await self._stream(channel)
            else:
                await self._call(channel)

    async def _call(self, channel: grpc.aio.Channel) -> None:
        (path,) = self._rng.choices(list(self._calls), self._weights)
        whole = self._rng.random() < 0.4
        known = self._calls[path]
        body = self._rng.choice(known)
        body = body if whole else mutated(body, known, self._rng)
        kind = f"{path.rpartition('/')[2]} {'as made' if whole else 'mutated'}"
        try:
            await channel.unary_unary(path)(body, timeout=_PATIENCE)
        except grpc.aio.AioRpcError as error:
            self._verdicts.status(kind, str(error.code().name), str(error.details()), body)
        else:
            self._verdicts.status(kind, "OK", "", body)

    async def _stream(self, channel: grpc.aio.Channel) -> None:
        known: Sequence[bytes] = self._streams
        bodies = [
            mutated(body, known, self._rng) if self._rng.random() < 0.5 else body
            for body in self._rng.choices(known, k=self._rng.randint(1, 4))
        ]

        async def messages() -> AsyncIterator[bytes]:
            for body in bodies:
                yield body

        sent = b"".join(bodies)
        try:
            call = channel.stream_stream(self._rng.choices(_STREAMS, (8, 1, 1))[0])
            async for _ in call(messages(), timeout=_PATIENCE):
                pass
        except grpc.aio.AioRpcError as error:
            cut_off = error.details() == _OUR_OWN
            status = "CANCELLED" if cut_off else str(error.code().name)
            self._verdicts.status("stream", status, str(error.details()), sent)
        else:
            self._verdicts.status("stream", "OK", "", sent)
