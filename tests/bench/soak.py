"""Load for minutes with callers that give up: memory, threads and files must not grow.

Run as `python -m tests.bench.soak --minutes 10`. Callers send single texts, calls of 32 and streams
of changing lengths; three in ten are given up after a moment. The first quarter fills caches and
pools and does not count; from then on the medians of the first and of the last third are compared.
Ends with status 1 where something grew or a patient caller got no answer, and writes
build/soak.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import grpc.aio

from polyhead.v1.annotation_service_pb2 import AnnotateRequest, AnnotateStreamRequest, StreamItem
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from polyhead.v1.document_pb2 import Document
from polyhead_server.bundle import open_bundle
from polyhead_server.model import load_encoder
from polyhead_server.settings import DEFAULT_BUNDLE
from tests.bench.servers import address, serving
from tests.bench.texts import exact

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

    from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceAsyncStub
    from tests.bench.processes import Started

CANCELLED_SHARE = 0.3
CALLERS = 32
LENGTHS = (4, 8, 16, 33, 64, 100, 200)
_MOST_PATIENCE = 0.01
"""Seconds after which an impatient caller is gone at the latest."""
_LOOKS = 120
"""Times that the server is looked at, spread over the run."""
_GIVEN_UP = "given up"
_RIGHT_ENDS = {"OK", _GIVEN_UP}
_ROOM = {"mebibytes": 0.03, "threads": 0.0, "files": 0.0}
"""Growth, as a share, that is taken for noise."""
_LEAST_FILES = 2
"""Files that a connection that is just being replaced may hold."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the server held at one moment."""

    seconds: float
    mebibytes: float
    threads: int
    files: int


def main() -> None:
    """Soak a server, print what it held, and say whether it stayed flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--out", type=Path, default=Path("build/soak.json"))
    options = parser.parse_args()
    tokenize = load_encoder(open_bundle(options.bundle)).encode
    texts = [text for length in LENGTHS for text in exact(tokenize, length, 64).texts]
    with serving(options.bundle) as server:
        looks, ended = asyncio.run(_soak(server, texts, 60 * options.minutes))
    grown = growth(looks)
    for look in looks[:: max(1, len(looks) // 12)]:
        held = f"{look.threads:4} threads {look.files:4} files"
        print(f"{look.seconds:7.0f} s {look.mebibytes:8.1f} MiB {held}")
    print(f"calls: {dict(ended)}\ngrowth from the first to the last third: {grown}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"looks": [asdict(one) for one in looks], "calls": dict(ended), "growth": grown}
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if is_flat(looks) and not ended.keys() - _RIGHT_ENDS else 1)


def growth(looks: Sequence[Look]) -> dict[str, float]:
    """What each figure gained from the first to the last third of what counts."""
    first, last = _thirds(looks)
    return {name: round(last[name] - first[name], 2) for name in first}


def is_flat(looks: Sequence[Look]) -> bool:
    """Whether nothing grew beyond what is noise."""
    first, last = _thirds(looks)
    slack = {"mebibytes": 0.0, "threads": 0.0, "files": _LEAST_FILES}
    return all(last[name] <= first[name] * (1 + _ROOM[name]) + slack[name] for name in first)


def _thirds(looks: Sequence[Look]) -> tuple[dict[str, float], dict[str, float]]:
    counted = looks[len(looks) // 4 :]
    size = max(1, len(counted) // 3)
    parts = counted[:size], counted[-size:]
    first, last = (
        {name: median(getattr(look, name) for look in part) for name in _ROOM} for part in parts
    )
    return first, last


async def _soak(
    server: Started, texts: Sequence[str], seconds: float
) -> tuple[list[Look], Counter[str]]:
    ended: Counter[str] = Counter()
    looks: list[Look] = []
    start = time.monotonic()
    end = start + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(_caller(address(server), texts, end, random.Random(number), ended))
        while (now := time.monotonic()) < end:
            usage = server.usage()
            looks.append(Look(now - start, usage.mebibytes, usage.threads, usage.files))
            await asyncio.sleep(seconds / _LOOKS)
    return looks, ended


async def _caller(
    where: str, texts: Sequence[str], end: float, rng: random.Random, ended: Counter[str]
) -> None:
    """Calls one behind the other; now and then on a new connection."""
    while time.monotonic() < end:
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(where, options=options) as channel:
            stub: AnnotationServiceAsyncStub = AnnotationServiceStub(channel)
            for _ in range(rng.randint(20, 200)):
                if time.monotonic() < end:
                    ended[await _call(stub, texts, rng)] += 1


async def _call(stub: AnnotationServiceAsyncStub, texts: Sequence[str], rng: random.Random) -> str:
    """One call in any form, by a caller who may lose patience: how it ended."""
    chosen = rng.choices(texts, k=rng.choice((1, 1, 1, 8, 32)))
    work = _stream(stub, chosen) if rng.random() < 0.2 else _unary(stub, chosen)
    task = asyncio.ensure_future(work)
    try:
        if rng.random() < CANCELLED_SHARE:
            async with asyncio.timeout(rng.random() * _MOST_PATIENCE):
                await task
        else:
            await task
    except TimeoutError:
        return _GIVEN_UP
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def _unary(stub: AnnotationServiceAsyncStub, texts: Sequence[str]) -> None:
    documents = [Document(text=text) for text in texts]
    await stub.Annotate(AnnotateRequest(documents=documents, tasks=["*"]))


async def _stream(stub: AnnotationServiceAsyncStub, texts: Sequence[str]) -> None:
    async def messages() -> AsyncIterator[AnnotateStreamRequest]:
        for number, text in enumerate(texts):
            item = StreamItem(id=str(number), document=Document(text=text))
            yield AnnotateStreamRequest(items=[item], tasks=["*"])

    async with contextlib.aclosing(_answers(stub, messages())) as answers:
        async for _ in answers:
            pass


async def _answers(
    stub: AnnotationServiceAsyncStub, messages: AsyncIterator[AnnotateStreamRequest]
) -> AsyncGenerator[object, None]:
    call = stub.AnnotateStream(messages)
    try:
        async for answer in call:
            yield answer
    finally:
        call.cancel()


if __name__ == "__main__":
    main()
