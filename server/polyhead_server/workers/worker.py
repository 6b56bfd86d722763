"""One worker as its supervisor sees it: started, ready, asked for metrics, ended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Self

from polyhead_server import options
from polyhead_server.ready import Ready

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.settings import Settings
    from polyhead_server.workers.orders import Order, Report
    from polyhead_server.workers.snapshot import Snapshot

_LONGEST_LINE = 1 << 26
_MODULE = "polyhead_server.workers.process"


class Worker:
    """A process, made by `start`.

    Attributes:
        index: its number among the workers; the one that replaces it has the same.
        ready: what it said when it was ready; None before.
        problems: why it could not start, where it told.
        last: the metrics that it told last.
        silent: seconds for which it has answered no question for its metrics.
    """

    def __init__(
        self,
        index: int,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.index = index
        self.ready: Ready | None = None
        self.problems: list[str] = []
        self.last: Snapshot = []
        self.silent = 0.0
        self._heard = False
        self._process = process
        self._writer = writer
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Report | None]] = {}
        self._started = asyncio.Event()
        self._hearing = asyncio.create_task(self._hear(reader))

    @classmethod
    async def start(cls, index: int, settings: Settings, first: Sequence[Order] = ()) -> Self:
        """Start a process that serves with these settings.

        Args:
            index: its number.
            settings: its own.
            first: orders that it carries out before it answers anybody.

        Raises:
            OSError: the system gives no further process or file.
        """
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as unless_started:
            unless_started.enter_context(ours)
            process = await asyncio.create_subprocess_exec(
                # -P: what lies in the working directory must not stand in for a module.
                *(sys.executable, "-P", "-m", _MODULE, str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
            unless_started.pop_all()
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_LONGEST_LINE)
        flags = options.SERVE.flags(settings)
        orders = {"worker": index, "settings": flags, "first": list(first)}
        writer.write(json.dumps(orders).encode() + b"\n")
        return cls(index, process, reader, writer)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def stuck(self) -> bool:
        """Whether it said last that it is stuck."""
        told = (samples for name, *_, samples in self.last if name == "polyhead_engine_stuck")
        return any(value > 0 for samples in told for _, _, value, _ in samples)

    @property
    def gone(self) -> bool:
        """Whether it hears no order any more."""
        return self._hearing.done()

    async def started(self) -> bool:
        """Wait until it is ready, or has ended instead; whether it is ready."""
        await self._started.wait()
        return self.ready is not None

    async def ended(self) -> int:
        """Wait until it has ended and all that it said was heard; its status, -N for signal N."""
        status = await self._process.wait()
        await self._hearing
        self._writer.close()
        return status

    async def refresh(self, seconds: float) -> None:
        """Let `last` be what its metrics are now, if it answers within this time."""
        number = next(self._numbers)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ask(number, number), seconds)

    def listen(self, seconds: float) -> None:
        """Count the time since the last look, in which it was asked, to its silence or end that.

        Args:
            seconds: that time, as long as it should have been: whoever was halted did not listen.
        """
        answered = self._heard or self.ready is None
        self.silent = 0.0 if answered else self.silent + seconds
        self._heard = False

    async def order(self, order: Order) -> Report | None:
        """Have it carry out an order; None where it ended before it had."""
        number = next(self._numbers)
        return await self._ask(number, {**order, "number": number})

    def drain(self) -> None:
        """Ask it to finish what is under way, and end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _ask(self, number: int, said: object) -> Report | None:
        """Say something that has this number, and wait for the answer."""
        if self.ready is None or self.gone:
            return None
        answer: asyncio.Future[Report | None] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._writer.write(json.dumps(said).encode() + b"\n")
        try:
            return await answer
        finally:
            del self._asked[number]

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        try:
            with contextlib.suppress(OSError):
                while line := await reader.readline():
                    self._take(json.loads(line) if line.endswith(b"\n") else {})
        finally:
            self._started.set()
            for number in self._asked:
                self._answered(number, None)

    def _take(self, said: dict[str, Any]) -> None:
        match said:
            case {"ready": dict(ready)}:
                self.ready = Ready(**{**ready, "tasks": tuple(ready["tasks"])})
                self._started.set()
            case {"failed": problems}:
                self.problems = problems
            case {"snapshot": snapshot, "number": number}:
                self.last = snapshot
                self._heard = True
                self._answered(number, None)
            case {"done": dict(report), "number": number}:
                self._answered(number, report)

    def _answered(self, number: int, report: Report | None) -> None:
        answer = self._asked.get(number)
        if answer is not None and not answer.done():
            answer.set_result(report)
