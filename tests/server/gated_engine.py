"""A small engine for tests of the batcher: it shouts words, when it is let."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field

from polyhead_server.batcher import Batcher, Bounds

PATIENCE = 10.0
"""Seconds after which a test that waits has failed."""


@dataclass(frozen=True, slots=True)
class Word:
    """An item; poison makes every batch fail that holds it."""

    text: str
    tokens: int = 1
    poison: bool = False


@dataclass(frozen=True, slots=True)
class Shouts:
    """What came out of one run."""

    outputs: list[str]
    tokens: int
    wasted_tokens: int = 0
    encode_seconds: float = 0.002
    heads_seconds: float = 0.001


class GatedEngine:
    """Shouts words. While its gate is shut, each run waits for `let_one_run`."""

    def __init__(self, *, shut: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.broken = False
        self._loop = asyncio.get_running_loop()
        self._entered: asyncio.Queue[list[str]] = asyncio.Queue()
        self._passes = threading.Semaphore(0)
        self._shut = shut

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


def batcher(engine: GatedEngine, diary: Diary | None = None, **bounds: int) -> Batcher[Word, str]:
    """A batcher around the engine."""
    return Batcher(engine.run, observer=diary or Diary(), bounds=Bounds(**bounds))


def words(text: str, tokens: int = 1) -> list[Word]:
    return [Word(word, tokens) for word in text.split()]


async def begun(work: asyncio.Task[object]) -> None:
    """Let a task run up to its first wait."""
    await asyncio.sleep(0)
    assert not work.done()
