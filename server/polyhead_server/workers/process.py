"""A worker process: one server like any other, but for the port that it shares.

Its supervisor starts it as a fresh interpreter: threads of gRPC and of the engine do not survive a
fork. It stops like a server without a supervisor, on SIGTERM or SIGINT, and when it has lost its
own.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from polyhead_server import options
from polyhead_server.errors import PolyheadError, SettingsError
from polyhead_server.logs import configure_logs
from polyhead_server.loops import loop_factory
from polyhead_server.signals import reload_on_signal, stop_on_signals, survive_reload_signals
from polyhead_server.workers.lifeline import Lifeline
from polyhead_server.workers.orders import obey
from polyhead_server.workers.snapshot import take

if TYPE_CHECKING:
    from polyhead_server.rollout.candidates import Candidates
    from polyhead_server.settings import Settings

NOT_DRAINED = 1
FAILED = 2
LAST_SECONDS = 5.0
"""Time to end beyond that for draining."""


def main() -> int:
    """Serve as one of several workers.

    Returns:
        0 where all went well, 1 where a drain did not finish in time, 2 where it could not start.
    """
    survive_reload_signals()
    lifeline = Lifeline(int(sys.argv[1]))
    orders = lifeline.orders()
    try:
        settings = options.SERVE.read(orders["settings"], {})
        configure_logs(settings.log_format, settings.log_level, worker=orders["worker"])
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            drained = runner.run(_run(settings, lifeline, orders["first"]))
    except SettingsError as error:
        lifeline.tell(failed=list(error.problems))
        return FAILED
    except PolyheadError as error:
        lifeline.tell(failed=[str(error)])
        return FAILED
    return 0 if drained else NOT_DRAINED


async def _run(settings: Settings, lifeline: Lifeline, first: list[dict[str, Any]]) -> bool:
    from polyhead_server.lifecycle import start_server  # noqa: PLC0415 - after the logs are set up

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # A group of processes may be told to stop as a whole and by the supervisor: twice means once.
    stop_on_signals(stop, at_once=lambda _: None)
    reload_on_signal(lambda: None)  # that is the supervisor's affair

    async def prepare(candidates: Candidates) -> None:
        for order in first:
            await obey(order, candidates)  # what fails is tried again, and told, by the supervisor

    server = await start_server(settings, prepare)
    registry = server.metrics.registry
    patience = settings.drain_seconds + LAST_SECONDS

    async def carry_out(order: dict[str, Any]) -> None:
        lifeline.tell(done=await obey(order, server.candidates), number=order["number"])

    def on_order(order: dict[str, Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop may have ended
            asyncio.run_coroutine_threadsafe(carry_out(order), loop)

    lifeline.answer(registry, on_order, lambda: loop.call_soon_threadsafe(stop.set), patience)
    lifeline.tell(ready=dataclasses.asdict(server.ready))
    await stop.wait()
    drained = await server.stop()
    lifeline.tell(snapshot=take(registry), number=-1)
    lifeline.end()
    return drained


if __name__ == "__main__":
    sys.exit(main())
