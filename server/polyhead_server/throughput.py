"""How fast the engine is, learned from its runs."""

from __future__ import annotations

_FIRST_GUESS = 20_000.0
_WEIGHT = 0.1
"""Weight of the newest run: about the last ten count."""


class Throughput:
    """Moving ratio of tokens to seconds. Long runs weigh more than short ones."""

    __slots__ = ("_seconds", "_tokens")

    def __init__(self) -> None:
        self._tokens = _FIRST_GUESS
        self._seconds = 1.0

    @property
    def tokens_per_second(self) -> float:
        """Tokens a second over the last runs, above 0."""
        return self._tokens / self._seconds

    def learn(self, tokens: int, seconds: float) -> None:
        """Take one run into account."""
        if tokens <= 0 or seconds <= 0:
            return
        self._tokens += _WEIGHT * (tokens - self._tokens)
        self._seconds += _WEIGHT * (seconds - self._seconds)
