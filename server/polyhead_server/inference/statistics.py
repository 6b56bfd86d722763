"""What each model has done since the server started, as the protocol's clients ask for it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyhead_server.timings import Timings

    Record = Callable[[int, Timings, float], None]

_NANOSECONDS = 1e9


@dataclass(slots=True)
class Duration:
    """How often and how long."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Once more, for this long."""
        self.count += 1
        self.ns += int(seconds * _NANOSECONDS)


@dataclass(slots=True)
class ModelRecord:
    """What one model has done."""

    last_inference: int = 0
    """Milliseconds since 1970; 0 for never."""
    texts: int = 0
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    tokenize: Duration = field(default_factory=Duration)
    encode: Duration = field(default_factory=Duration)
    heads: Duration = field(default_factory=Duration)

    def succeeded(self, texts: int, timings: Timings, seconds: float) -> None:
        """A request was answered."""
        self.last_inference = time.time_ns() // 1_000_000
        self.texts += texts
        self.success.add(seconds)
        self.queue.add(timings.queue)
        self.tokenize.add(timings.tokenize)
        self.encode.add(timings.encode)
        self.heads.add(timings.heads)


class Statistics:
    """The records of all models, by name; those of a replaced bundle's heads are kept."""

    def __init__(self) -> None:
        self._records: dict[str, ModelRecord] = {}

    def read(self, model: str) -> ModelRecord:
        """The record of a model."""
        return self._records.get(model) or ModelRecord()

    @contextlib.contextmanager
    def of(self, model: str) -> Iterator[Record]:
        """Give the function to record a success with; what raises is recorded as a failure."""
        record = self._records.setdefault(model, ModelRecord())
        start = time.perf_counter()
        try:
            yield record.succeeded
        except BaseException:
            record.fail.add(time.perf_counter() - start)
            raise
