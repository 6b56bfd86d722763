"""Where the time of a request went."""

from __future__ import annotations

from dataclasses import dataclass

STAGES = ("tokenize", "queue", "encode", "heads")
"""Parts of a request's time, in their order."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a request went, in seconds."""

    tokenize: float = 0.0
    queue: float = 0.0
    encode: float = 0.0
    heads: float = 0.0
    start: float = 0.0
    """When the work began, as `time.perf_counter` has it."""

    def stages(self) -> list[tuple[str, float]]:
        """Each stage and its seconds."""
        return [(name, getattr(self, name)) for name in STAGES]

    def __add__(self, other: Timings) -> Timings:
        """One behind the other; it began when the first began."""
        return Timings(
            self.tokenize + other.tokenize,
            self.queue + other.queue,
            self.encode + other.encode,
            self.heads + other.heads,
            self.start,
        )
