"""The encoder behind one interface: flat packed tokens in, one vector per token out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_server.packing import Packed

Hidden = NDArray[np.float32]

Precision = Literal["auto", "bf16", "f32"]

INPUTS = ("input_ids", "position_ids", "segment_ids", "shape_ids")
"""Names of the graph's inputs, in the order of ``Packed.columns``."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine is told."""

    threads: int = 0
    """Threads of all streams together; 0 for what the engine takes for best."""
    precision: Precision = "auto"
    """What is computed in floating point; auto for bf16 where the hardware has it."""
    streams: int = 1
    """Batches that can be encoded at the same time, each with its share of the threads."""
    compile_cache: Path | None = None
    """Folder where an engine may keep what it compiles for its next start."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine chose to be, for logs and metrics."""

    engine: str
    device: str
    """Name of the processor."""
    weights: str
    """What matrix products are computed in: int8, or the same as ``floats``."""
    floats: str
    """What all else is computed in."""
    threads: str
    streams: str


class Engine(Protocol):
    """An encoder. Implementations differ in hardware, never in results beyond rounding.

    ``streams`` threads may call ``infer`` at the same time; the calls of more wait.
    """

    @property
    def streams(self) -> int:
        """Calls that are worked on at the same time."""
        ...

    @property
    def apart(self) -> bool:
        """Whether it computes in threads of its own, and not in those that call it."""
        ...

    @property
    def facts(self) -> EngineFacts:
        """What it chose to be."""
        ...

    def infer(self, batch: Packed) -> Hidden:
        """Encode a batch: [N, H]. The array may be reused by the calling thread's next call."""
        ...

    def plain(self, batch: Packed) -> Hidden | None:
        """Encode a batch in f32 without shortcuts, slowly: [N, H]. None where ``infer`` does so."""
        ...

    def close(self) -> None:
        """Give up threads and memory, once no call is under way."""
        ...
