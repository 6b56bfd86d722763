"""Load on a server: prepared request bytes, so that the client costs as little as it can."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio

from polyhead.v1.annotation_service_pb2 import AnnotateRequest
from polyhead.v1.document_pb2 import Document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.texts import Corpus

METHOD = "/polyhead.v1.AnnotationService/Annotate"
TICKS = 100
"""Clock ticks a second in /proc, on every Linux."""


@dataclass(frozen=True, slots=True)
class Call:
    """One prepared request."""

    body: bytes
    texts: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stretch of load gave."""

    seconds: float
    texts: int
    tokens: int
    latencies: tuple[float, ...]
    server_cpu: float
    """Seconds of processor time that the server took."""
    client_cpu: float
    """Seconds of processor time that this process took."""

    @property
    def tokens_per_second(self) -> float:
        """Throughput."""
        return self.tokens / self.seconds

    def latency(self, share: float) -> float:
        """A quantile of the latency, in seconds."""
        ranked = sorted(self.latencies)
        return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def prepare(corpus: Corpus, size: int, tasks: Sequence[str]) -> list[Call]:
    """Requests of so many texts each."""
    pairs = list(zip(corpus.texts, corpus.tokens, strict=True))
    groups = [pairs[at : at + size] for at in range(0, len(pairs) - size + 1, size)]
    return [
        Call(
            AnnotateRequest(
                documents=[Document(text=text) for text, _ in group], tasks=tasks
            ).SerializeToString(),
            len(group),
            sum(tokens for _, tokens in group),
        )
        for group in groups
    ]


async def press(
    address: str, pid: int, calls: Sequence[Call], *, in_flight: int, seconds: float
) -> Outcome:
    """Keep so many calls in flight for a while (closed loop)."""
    async with grpc.aio.insecure_channel(address) as channel:
        method = channel.unary_unary(METHOD)
        supply = itertools.cycle(calls)
        await method(next(supply).body)
        done: list[Call] = []
        latencies: list[float] = []
        start, server, client = time.perf_counter(), cpu_seconds(pid), time.process_time()

        async def caller() -> None:
            while (begun := time.perf_counter()) - start < seconds:
                call = next(supply)
                await method(call.body)
                latencies.append(time.perf_counter() - begun)
                done.append(call)

        await asyncio.gather(*(caller() for _ in range(in_flight)))
        return Outcome(
            time.perf_counter() - start,
            sum(call.texts for call in done),
            sum(call.tokens for call in done),
            tuple(latencies),
            cpu_seconds(pid) - server,
            time.process_time() - client,
        )


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
