"""A whole campaign against one live server, and its report."""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.chaos.server import Server, seconds_until
from tests.fuzz.oracle import Verdicts
from tests.fuzz.over_frames import FrameFuzz
from tests.fuzz.over_grpc import GrpcFuzz
from tests.fuzz.over_http import HttpFuzz

if TYPE_CHECKING:
    from pathlib import Path

SHARES = {GrpcFuzz: 0.65, HttpFuzz: 0.3, FrameFuzz: 0.05}
_POOL = 300
_FAULTS = ("internal_error", "Traceback", '"level": "error"', "Unhandled", "Task exception")
_CALLER_GONE = "ExecuteBatchError"
"""What gRPC's library writes where no connection is left to send a status on."""
_SHOWN = 25
"""Lines of the log that are shown of a fault."""
_LOT = 20_000
"""Requests after which the pools are made anew and the server is looked at."""


def run(
    bundle: Path, folder: Path, requests: int, seed: int, *, pool: int = _POOL
) -> dict[str, Any]:
    """Send so many requests to a server of its own, and look at it in between and afterwards."""
    rng = random.Random(seed)
    verdicts = Verdicts()
    looks = []
    with Server(bundle, folder, "--inference-http-port=0") as server:
        start = time.monotonic()
        while (left := requests - verdicts.requests) > 0:
            asyncio.run(_lot(server, rng, verdicts, min(left, _LOT), pool))
            looks.append({"requests": verdicts.requests, **_look(server, verdicts)})
            if verdicts.failures > _LOT or not server.alive:
                break
        seconds = time.monotonic() - start
        cpu = resource.getrusage(resource.RUSAGE_SELF)
        server.close()
        _judge_log(server, verdicts)
        if server.process.returncode != 0:
            verdicts.problem(f"the server ended with status {server.process.returncode}")
    return {
        "seed": seed,
        "requests": verdicts.requests,
        "seconds": round(seconds, 1),
        "a_second": round(verdicts.requests / seconds, 1),
        "own_cpu_seconds": round(cpu.ru_utime + cpu.ru_stime, 1),
        "ended": dict(sorted(verdicts.ended.items())),
        "failures": verdicts.failures,
        "problems": verdicts.problems,
        "looks": looks,
    }


async def _lot(
    server: Server, rng: random.Random, verdicts: Verdicts, requests: int, pool: int
) -> None:
    places = {
        GrpcFuzz: server.address,
        HttpFuzz: server.urls["inference"].rpartition("/")[2],
        FrameFuzz: server.address,
    }
    async with asyncio.TaskGroup() as group:
        for kind, share in SHARES.items():
            fuzz = kind(places[kind], random.Random(rng.random()), verdicts, pool)
            group.create_task(fuzz.run(max(1, round(requests * share))))


def _look(server: Server, verdicts: Verdicts) -> dict[str, float]:
    """Whether the server still answers, and what it holds."""
    if not server.alive:
        verdicts.problem("the server has ended")
        return {}
    if seconds_until(lambda: server.call(5.0) == "OK", 10.0) > 10.0:
        verdicts.problem("the server does not answer any more")
    held = server.held()
    return {"mebibytes": held.mebibytes, "threads": held.threads, "files": held.files}


def _judge_log(server: Server, verdicts: Verdicts) -> None:
    """Faults that no caller saw."""
    faults = Counter(_faults(server.logged()))
    for text, times in faults.most_common(5):
        verdicts.problem(f"in the log, {times} times: {text}")


def _faults(log: str) -> list[str]:
    """Each with the lines around it; of a traceback those up to its end."""
    lines = log.splitlines()
    return [
        "\n".join(lines[max(0, at - 2) : at + _SHOWN])[:2_000]
        for at, line in enumerate(lines)
        if any(mark in line for mark in _FAULTS)
        and not any(_CALLER_GONE in after for after in lines[at : at + 8])
    ]
