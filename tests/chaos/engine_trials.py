"""Faults of the engine: it raises, its thread is ended, it never comes back."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub
from tests.chaos.faulty_engine import ORDERS, install
from tests.chaos.server import OWN_CONNECTION, REQUEST, Server, seconds_until
from tests.chaos.trial import Result, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.size import Size

_STUCK_SECONDS = 0.4


class Orders:
    """What the engine is to do; nothing special once the block is over.

    Attributes:
        environment: what a server needs to find the engine, and the engine its orders.
    """

    def __init__(self, folder: Path) -> None:
        self.environment = install(folder)
        self._file = Path(self.environment[ORDERS])

    @contextmanager
    def given(self, order: str) -> Iterator[None]:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(order)
        fresh.replace(self._file)
        try:
            yield
        finally:
            fresh.write_text("")
            fresh.replace(self._file)


def raising(bundle: Path, folder: Path, size: Size) -> Result:
    """Every third run of the engine raises, then all do: only calls of those fail, as INTERNAL."""
    orders = Orders(folder)
    with (
        Server(bundle, folder, "--engine=faulty", environment=orders.environment) as server,
        Trial("engine raises", server, may_lose=("INTERNAL",)) as trial,
    ):
        with trial.calls():
            with orders.given("raise at times"):
                time.sleep(size.seconds)
            with orders.given("raise"):
                told = _messages(server, 20)
        trial.result.faults = {"failed_batches": server.metric("polyhead_failed_batches_total")}
        trial.expect(told == {"INTERNAL: internal error": 20}, f"callers were told {dict(told)}")
    return trial.result


def ending(bundle: Path, folder: Path, size: Size) -> Result:
    """A run raises what ends threads: the call fails, the thread goes on."""
    orders = Orders(folder)
    with (
        Server(bundle, folder, "--engine=faulty", environment=orders.environment) as server,
        Trial("engine thread told to exit", server, may_lose=("INTERNAL",)) as trial,
    ):
        with orders.given("exit"):
            told = _messages(server, size.kills)
        with trial.calls(size.seconds):
            pass
        trial.result.faults = {"runs": size.kills}
        trial.expect(set(told) == {"INTERNAL: internal error"}, f"callers were told {dict(told)}")
    return trial.result


def hanging(bundle: Path, folder: Path, size: Size) -> Result:
    """A run does not come back: liveness says so everywhere, once in the log, until it does."""
    orders = Orders(folder)
    flags = ("--engine=faulty", f"--stuck-seconds={_STUCK_SECONDS}")
    with (
        Server(bundle, folder, *flags, environment=orders.environment) as server,
        Trial("engine hangs", server) as trial,
    ):
        trial.expect(_signs(server) == _WELL, f"signs before: {_signs(server)}")
        with orders.given("hang"):
            held = threading.Thread(target=server.call)
            held.start()
            noticed = seconds_until(lambda: server.health("liveness") == "NOT_SERVING", 10)
            trial.expect(_signs(server) == _STUCK, f"signs while it hangs: {_signs(server)}")
            time.sleep(size.seconds)
        freed = seconds_until(lambda: server.health("liveness") == "SERVING", 10)
        held.join()
        with trial.calls(0.3):
            pass
        trial.expect(_signs(server) == _WELL, f"signs after: {_signs(server)}")
        trial.expect(len(server.events("engine_stuck")) == 1, "not logged once")
        trial.result.faults = {"noticed_seconds": noticed, "freed_seconds": freed}
    return trial.result


def hanging_worker(bundle: Path, folder: Path, size: Size) -> Result:
    """A worker whose engine hangs is replaced; the other one goes on meanwhile."""
    orders = Orders(folder)
    flags = ("--engine=faulty", f"--stuck-seconds={_STUCK_SECONDS}", "--workers=2")
    with (
        Server(bundle, folder, *flags, environment=orders.environment) as server,
        Trial("engine of a worker hangs", server) as trial,
    ):
        with orders.given("hang"):
            held = threading.Thread(target=server.call)
            held.start()
            noticed = seconds_until(lambda: bool(server.events("worker_stuck")), 10)
        held.join()
        back = seconds_until(lambda: server.metric("polyhead_workers") == 2, 20)
        with trial.calls(0.3):
            pass
        trial.expect(noticed < 5, "no worker was found stuck")
        trial.expect(len(server.workers()) == 2, "no worker came in its place")
        trial.result.faults = {"noticed_seconds": noticed, "replaced_seconds": back}
    return trial.result


_WELL = ("SERVING", "SERVING", 200, 200, 0.0)
_STUCK = ("NOT_SERVING", "NOT_SERVING", 503, 503, 1.0)


def _signs(server: Server) -> tuple[str, str, int, int, float]:
    return (
        server.health("liveness"),
        server.health("polyhead.v1.AnnotationService"),
        server.get("/livez"),
        server.get("/readyz"),
        server.metric("polyhead_engine_stuck"),
    )


def _messages(server: Server, calls: int) -> Counter[str]:
    """What callers without retries are told, word for word."""
    told: Counter[str] = Counter()
    with grpc.insecure_channel(server.address, OWN_CONNECTION) as channel:
        for _ in range(calls):
            try:
                AnnotationServiceStub(channel).Annotate(REQUEST, timeout=5.0)
                told["OK"] += 1
            except grpc.RpcError as error:
                told[f"{error.code().name}: {error.details()}"] += 1
    return told
