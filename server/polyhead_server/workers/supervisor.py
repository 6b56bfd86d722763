"""Keeps several workers on one port: starts them, replaces those that end, drains them all."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from polyhead_server import notify
from polyhead_server.cpus import shared, usable_cpus
from polyhead_server.errors import RequestError, StartError
from polyhead_server.metrics import Metrics, MetricsPort
from polyhead_server.notify import signs_of_life
from polyhead_server.rollout.figures import ReloadFigures
from polyhead_server.rollout.rollout import Rollout
from polyhead_server.rollout.watch import Watch, stamp
from polyhead_server.signals import leave, reload_on_signal, stop_on_signals
from polyhead_server.workers.crew import WorkerCrew
from polyhead_server.workers.ports import reserved
from polyhead_server.workers.process import LAST_SECONDS
from polyhead_server.workers.totals import Totals
from polyhead_server.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client.metrics_core import Metric

    from polyhead_server.ready import Ready
    from polyhead_server.rollout.admin import AdminPort
    from polyhead_server.settings import Settings

_log = structlog.get_logger(__name__)

_ATTEMPTS = 5
"""Starts in a row that may fail before it is given up, where no other worker is ready."""
_STEADY_SECONDS = 10.0
"""A worker that lived so long is replaced at once."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_SAMPLE_SECONDS = 1.0
"""Time between two looks at the workers' metrics: what a killed one counted since is lost."""
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Life:
    """How a worker fared."""

    served: bool
    """Whether it was ever ready."""
    drained: bool
    """Whether it finished what it had begun."""
    end: str
    problems: Sequence[str] = ()
    """Why it could not start, where it knew."""


async def supervise(settings: Settings, announce: Callable[[Ready], object]) -> bool:
    """Serve with several workers until SIGTERM or SIGINT.

    Args:
        settings: those of the server; `workers` is a number.
        announce: called once, when all workers are ready.

    Returns:
        Whether all calls under way were finished within the limit.

    Raises:
        StartError: a port cannot be had, or workers cannot start.
    """
    stop = asyncio.Event()
    with contextlib.ExitStack() as held:
        port = held.enter_context(reserved(settings.host, settings.port))
        settings = replace(settings, port=port)
        if settings.inference_http_port >= 0:
            http = held.enter_context(reserved(settings.host, settings.inference_http_port))
            settings = replace(settings, inference_http_port=http)
        supervisor = Supervisor(settings, stop, announce)
        stop_on_signals(stop, at_once=supervisor.leave)
        reload_on_signal(supervisor.reload)
        return await supervisor.run()


class Supervisor:
    """Keeps the workers.

    Args:
        settings: those of the server, with ports that are reserved.
        stop: set when they shall be drained.
        announce: called once, when all are ready.
    """

    def __init__(
        self, settings: Settings, stop: asyncio.Event, announce: Callable[[Ready], object]
    ) -> None:
        assert settings.workers != "auto"  # noqa: S101 - the command line has decided
        self._settings = settings
        self._threads = shared(usable_cpus(), settings.workers)
        self._stop = stop
        self._announce: Callable[[Ready], object] | None = announce
        self._asked = False
        self._workers: dict[int, Worker] = {}
        self._loop = asyncio.get_running_loop()
        self._totals = Totals(self._read_metrics)
        self._crew = WorkerCrew()
        reloads = ReloadFigures(self._totals.registry)
        self._rollout = Rollout(self._crew, settings.bundle, reloads)
        self._watch = Watch(settings.bundle, stamp(settings.bundle), self._rollout.try_reload)
        self._admin_port = _open_admin_port(settings)
        self._metrics_port = self._open_metrics()

    async def run(self) -> bool:
        """Serve until told to stop; whether everything was drained."""
        if self._admin_port is not None:
            await self._admin_port.open(self._rollout, Metrics())
        keepers = [asyncio.create_task(self._keep(index)) for index in range(len(self._threads))]
        stopping = asyncio.create_task(self._stop.wait())
        sampling = asyncio.create_task(self._sample())
        try:
            with signs_of_life(lambda: self._announce is None):  # that is, once all were ready
                await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
                if not self._stop.is_set():
                    for failed in filter(asyncio.Task.done, keepers):
                        failed.result()
                return await self._drain(keepers)
        finally:
            self._kill()
            for task in (stopping, sampling, *keepers):
                task.cancel()
            await self._hold()
            if self._metrics_port is not None:
                await asyncio.to_thread(self._metrics_port.close)

    def reload(self) -> None:
        """Begin to load the bundle anew in all workers, once all are ready."""
        if self._announce is not None:
            self._asked = True  # some may have read the bundle already
        elif not self._stop.is_set():
            self._rollout.ask()

    def leave(self, number: int) -> None:
        """End all workers, and this process, at once, because of a signal."""
        self._kill()
        leave(number)

    async def _keep(self, index: int) -> bool:
        """Have a worker of this number at all times; whether the last one was drained."""
        short_lives = 0
        while True:
            start = self._loop.time()
            life = await self._live(index)
            if self._stop.is_set():
                return life.drained
            lived = self._loop.time() - start
            short_lives = 0 if life.served and lived >= _STEADY_SECONDS else short_lives + 1
            _log.warning("worker_ended", worker=index, how="; ".join((life.end, *life.problems)))
            self._hope(life, short_lives)
            await self._pause(short_lives)
            if self._stop.is_set():
                return True
            self._totals.restarts.inc()

    async def _live(self, index: int) -> _Life:
        """One worker from start to end."""
        threads = self._settings.threads or self._threads[index]
        own: dict[str, Any] = {"metrics_port": -1, "admin_port": -1, "watch_bundle": False}
        settings = replace(self._settings, threads=threads, bundle=self._bundle(), **own)
        try:
            first = self._crew.beside()
            worker = self._workers[index] = await Worker.start(index, settings, first)
        except OSError as error:  # no memory, processes or files left: others may end soon
            return _Life(served=False, drained=True, end=f"not started: {error.strerror}")
        _log.info("worker_started", worker=index, pid=worker.pid)
        if self._stop.is_set():
            worker.drain()
        if await worker.started():
            await self._welcome(worker)
            self._count()
        status = await worker.ended()
        # In one step, so that no reader of the metrics misses the worker or meets it twice.
        del self._workers[index]
        self._totals.keep(worker.last)
        self._count()
        served = worker.ready is not None
        return _Life(served, status == 0 or not served, _how(status), worker.problems)

    def _count(self) -> None:
        ready = [worker.ready for worker in self._workers.values() if worker.ready is not None]
        self._totals.workers.set(len(ready))
        if self._announce is None or len(ready) < len(self._threads):
            return
        url = self._metrics_port.url if self._metrics_port is not None else None
        _log.info("ready", workers=len(ready), address=ready[0].address, metrics=url)
        admin = self._admin_port.address if self._admin_port is not None else None
        self._announce(replace(ready[0], metrics=url, admin=admin))
        self._announce = None
        if self._asked:
            self.reload()
        if self._settings.watch_bundle:
            self._watch.start()

    def _bundle(self) -> Path:
        """What a further worker starts with: what the others serve, if it is there still."""
        served = Path(self._crew.path or self._settings.bundle)
        return served if served.is_dir() else self._settings.bundle

    async def _welcome(self, worker: Worker) -> None:
        """Have a worker serve what the others do."""
        try:
            if await self._rollout.alone(lambda: self._crew.welcome(worker)):
                return
            await self._rollout.try_reload(str(self._bundle()))
            if not await self._rollout.alone(lambda: self._crew.lead(worker)):
                _log.error("worker_differs", worker=worker.index, reason="it has another primary")
        except RequestError as error:
            _log.error("worker_differs", worker=worker.index, reason=str(error))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._stop.is_set() or (task is not None and task.cancelling()):
                raise  # else the rollout was given up

    async def _hold(self) -> None:
        await self._watch.close()
        await self._rollout.close()
        if self._admin_port is not None:
            await self._admin_port.close()

    def _hope(self, life: _Life, short_lives: int) -> None:
        """Raise StartError where another start would not help either."""
        others = any(other.ready for other in self._workers.values())
        if life.served or others:
            return
        if life.problems and (self._announce is not None or short_lives >= _ATTEMPTS):
            raise StartError("\n".join(life.problems))
        if short_lives >= _ATTEMPTS:
            raise StartError(f"workers do not start: the last of {short_lives} {life.end}")

    async def _pause(self, short_lives: int) -> None:
        if short_lives < 2:  # noqa: PLR2004 - the first short life is no pattern
            return
        seconds = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (short_lives - 2))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    async def _drain(self, keepers: list[asyncio.Task[bool]]) -> bool:
        notify.tell(notify.STOPPING)
        await self._hold()
        limit = self._settings.drain_seconds + 2 * LAST_SECONDS
        for worker in self._workers.values():
            worker.drain()
        _, late = await asyncio.wait(keepers, timeout=limit)
        self._kill()
        if late:
            await asyncio.wait(late)
        drained = all(keeper.result() for keeper in keepers)
        _log.info("stopped", drained=drained)
        return drained

    def _kill(self) -> None:
        for worker in self._workers.values():
            worker.kill()

    def _end_stuck(self) -> None:
        """End workers whose engine is stuck, or that do not answer: others come in their place."""
        limit = self._settings.stuck_seconds
        for worker in self._workers.values():
            if worker.stuck or 0 < limit <= worker.silent:
                _log.error("worker_stuck", worker=worker.index, pid=worker.pid)
                worker.kill()

    def _open_metrics(self) -> MetricsPort | None:
        settings = self._settings
        if settings.metrics_port < 0:
            return None
        port = MetricsPort(self._totals.registry, settings.metrics_host, settings.metrics_port)
        port.probes.watch(lambda: True, self._is_ready)
        return port

    def _is_ready(self, head: str) -> bool | None:
        """Whether a worker takes calls for a head, or for all; asked from threads."""
        ready = [worker.ready for worker in (*self._workers.values(),) if worker.ready is not None]
        if not head or not ready:  # nobody knows heads before a bundle is there
            return bool(ready) and not self._stop.is_set()
        known = any(head in (self._crew.tasks or one.tasks) for one in ready)
        return not self._stop.is_set() if known else None

    def _read_metrics(self) -> list[Metric]:
        """What the metrics port asks for, from a thread of its own."""
        reading = asyncio.run_coroutine_threadsafe(self._collect(), self._loop)
        return reading.result(2 * _ANSWER_SECONDS)

    async def _collect(self) -> list[Metric]:
        await self._refresh()
        live = {index: worker.last for index, worker in self._workers.items()}
        return self._totals.with_live(live)

    async def _sample(self) -> None:
        before = time.monotonic()
        for _ in itertools.count():
            await asyncio.sleep(_SAMPLE_SECONDS)
            await self._refresh()
            now = time.monotonic()
            for worker in self._workers.values():
                worker.listen(min(now - before, _SAMPLE_SECONDS + _ANSWER_SECONDS))
            before = now
            self._end_stuck()

    async def _refresh(self) -> None:
        workers = tuple(self._workers.values())
        await asyncio.gather(*(worker.refresh(_ANSWER_SECONDS) for worker in workers))


def _open_admin_port(settings: Settings) -> AdminPort | None:
    if settings.admin_port < 0:
        return None
    from polyhead_server.rollout.admin import AdminPort  # noqa: PLC0415 - gRPC is large

    return AdminPort(settings)


def _how(status: int) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
