"""Three times as much is asked of a server as it can do, by callers who do not wait their turn."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

import polyhead
from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from tests.chaos.server import OWN_CONNECTION, Server
from tests.chaos.trial import Result, Trial

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.chaos.size import Size

_TEXTS = ["Angela Merkel visited the new museum in Berlin on Monday, and liked it."] * 32
_REQUEST = pb.AnnotateRequest(documents=[doc.Document(text=text) for text in _TEXTS], tasks=["*"])
_TIMES = 3
_DEADLINE = 2.0
_PATIENCE = 20.0
_REFUSED = ("RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")


@dataclass
class Asked:
    """What became of calls that came at a rate."""

    ended: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


def overload(bundle: Path, folder: Path, size: Size) -> Result:
    """What is let in is answered in time; the rest is refused at once, with a time to come back."""
    with (
        Server(bundle, folder) as server,
        Trial("3 x overload", server, callers=0, may_lose=_REFUSED) as trial,
    ):
        rate, plain, patient = asyncio.run(_overload(server.address, size.seconds))
        calls = plain.ended.total()
        late = plain.ended["DEADLINE_EXCEEDED"]
        trial.expect(set(plain.ended) <= {"OK", *_REFUSED}, f"ended with {dict(plain.ended)}")
        trial.expect(
            late <= 1 + size.most_late * calls, f"{late} of {calls} calls were let in too late"
        )
        lost = set(patient.ended) - {"OK", "RESOURCE_EXHAUSTED"}
        trial.expect(not lost, f"with retries calls ended with {sorted(lost)}")
        trial.result.calls, trial.result.slowest = patient.ended, patient.slowest
        trial.result.faults = {
            "calls_a_second": round(rate / _TIMES, 1),
            "asked_a_second": round(rate, 1),
            "goodput": round(plain.ended["OK"] / size.seconds / (rate / _TIMES), 2),
            "without_retries": dict(plain.ended),
        }
    return trial.result


async def _overload(address: str, seconds: float) -> tuple[float, Asked, Asked]:
    async with grpc.aio.insecure_channel(address, options=OWN_CONNECTION) as channel:
        stub = AnnotationServiceStub(channel)

        async def plain() -> str:
            try:
                await stub.Annotate(_REQUEST, timeout=_DEADLINE)
            except grpc.aio.AioRpcError as error:
                return str(error.code().name)
            return "OK"

        rate = _TIMES * await _capacity(plain, seconds)
        asked = await _ask(plain, rate, seconds)
    async with polyhead.AsyncClient(address, timeout=_PATIENCE) as client:

        async def patient() -> str:
            try:
                await client.annotate_many(_TEXTS)
            except polyhead.PolyheadError as error:
                return str(error.code)
            return "OK"

        return rate, asked, await _ask(patient, rate, seconds)


async def _capacity(call: Callable[[], Awaitable[str]], seconds: float) -> float:
    """Calls a second where a few callers each wait for their answer."""
    done = 0
    start = time.monotonic()

    async def caller() -> None:
        nonlocal done
        while time.monotonic() < start + seconds:
            await call()
            done += 1

    await asyncio.gather(*(caller() for _ in range(8)))
    return done / (time.monotonic() - start)


async def _ask(call: Callable[[], Awaitable[str]], rate: float, seconds: float) -> Asked:
    """Begin calls at a rate, whatever becomes of those before."""
    asked = Asked()

    async def timed() -> None:
        start = time.monotonic()
        asked.ended[await call()] += 1
        asked.slowest = max(asked.slowest, time.monotonic() - start)

    start = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
            group.create_task(timed())
    return asked
