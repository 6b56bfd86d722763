"""A small engine for tests of the batcher: it shouts words, when it is let."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from polyhead_server.batcher import Batcher
from polyhead_server.forecast import Bounds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from polyhead_server.cost import RunCost
    from polyhead_server.schedule import Answer

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds after which a test that waits has failed."""


@dataclass(frozen=True, slots=True)
class Word:
    """An item; poison makes every batch fail in the engine, the indigestible behind it."""

    text: str
    tokens: int = 1
    poison: bool = False
    indigestible: bool = False


@dataclass(frozen=True, slots=True)
class Shouts:
    """What came out of one run."""

    outputs: list[str]
    tokens: int
    wasted_tokens: int = 0
    encode_seconds: float = 0.002
    heads_seconds: float = 0.001


class GatedEngine:
    """Shouts words. While its gate is shut, each run waits for `let_one_run`.

    Outputs are made beside the engine; `hold_outputs` keeps them back until `let_outputs_out`.
    """

    def __init__(self, *, shut: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.most_at_once = 0
        self._at_once = 0
        self._outputs_may_go = threading.Event()
        self._outputs_may_go.set()
        self.broken = False
        self._loop = asyncio.get_running_loop()
        self._entered: asyncio.Queue[list[str]] = asyncio.Queue()
        self._passes = threading.Semaphore(0)
        self._shut = shut

    def encode(self, words: list[Word]) -> Callable[[], Shouts]:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            shouts = self.run(words)
        finally:
            self._at_once -= 1
        return lambda: self._finished(words, shouts)

    def _finished(self, words: list[Word], shouts: Shouts) -> Shouts:
        if not self._outputs_may_go.wait(PATIENCE):
            raise TimeoutError
        if any(word.indigestible for word in words):
            raise ValueError("the heads are broken")
        return shouts

    def hold_outputs(self) -> None:
        self._outputs_may_go.clear()

    def let_outputs_out(self) -> None:
        self._outputs_may_go.set()

    def run(self, words: list[Word]) -> Shouts:
        batch = [word.text for word in words]
        self.batches.append(batch)
        self._loop.call_soon_threadsafe(self._entered.put_nowait, batch)
        if self._shut and not self._passes.acquire(timeout=PATIENCE):
            raise TimeoutError
        if self.broken or any(word.poison for word in words):
            raise ValueError("the engine is broken")
        time.sleep(0)
        return Shouts([text.upper() for text in batch], sum(word.tokens for word in words))

    async def entered(self) -> list[str]:
        """The next batch that the engine has begun on."""
        async with asyncio.timeout(PATIENCE):
            return await self._entered.get()

    def let_one_run(self) -> None:
        self._passes.release()

    def open(self) -> None:
        """Let this run and all later ones pass."""
        self._shut = False
        self._passes.release()


@dataclass
class Diary:
    """An observer that writes down what happened."""

    batches: list[int] = field(default_factory=list)
    failures: int = 0
    refused: list[str] = field(default_factory=list)
    gone: int = 0
    late: int = 0

    def batch(self, run: Shouts, items: int) -> None:
        self.batches.append(items)

    def failed(self) -> None:
        self.failures += 1

    def shed(self, reason: str) -> None:
        self.refused.append(reason)

    def cancelled(self) -> None:
        self.gone += 1

    def expired(self) -> None:
        self.late += 1


def batcher(
    engine: GatedEngine,
    diary: Diary | None = None,
    *,
    cost: RunCost | None = None,
    engines: int = 1,
    beside: bool = False,
    **bounds: float,
) -> Batcher[Word, str]:
    """A batcher around the engine."""
    return Batcher(
        engine.encode,
        observer=diary or Diary(),
        bounds=Bounds(**bounds),
        cost=cost,
        engines=engines,
        beside=beside,
    )


def words(text: str, tokens: int = 1) -> list[Word]:
    return [Word(word, tokens) for word in text.split()]


async def begun(work: asyncio.Task[object]) -> None:
    """Let a task run up to its first wait."""
    await asyncio.sleep(0)
    assert not work.done()


async def start(
    b: Batcher[Word, str], text: str, tokens: int = 1, **options: Any
) -> asyncio.Task[Answer[str]]:
    """Submit words in a task, and return once it waits."""
    task = asyncio.create_task(b.submit(words(text, tokens), **options))
    await begun(task)
    return task


async def busy(engine: GatedEngine, b: Batcher[Word, str]) -> asyncio.Task[Answer[str]]:
    """Bring the engine into a run that waits at the gate."""
    task = await start(b, "busy")
    await engine.entered()
    return task


async def soon(awaitable: Awaitable[T]) -> T:
    """What it gives; the test has failed where that takes too long."""
    async with asyncio.timeout(PATIENCE):
        return await awaitable
