"""The engine alone: packed batches, prepared beforehand, one behind the other."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

from polyhead_server.packing import Packed, pack

if TYPE_CHECKING:
    from polyhead_server.model import Model
    from tests.bench.texts import Corpus

BUDGETS = (64, 128, 256)
"""Tokens to a batch; the best of them counts."""


class RawEngine:
    """Prepared batches of one corpus at several sizes."""

    def __init__(self, model: Model, corpus: Corpus) -> None:
        self._model = model
        self._batches = {budget: _batches(corpus, budget) for budget in BUDGETS}
        for batch in itertools.chain.from_iterable(self._batches.values()):
            model.engine.infer(batch)

    def tokens_per_second(self, seconds: float) -> float:
        """Tokens of texts (not those that fill a batch up) through the encoder a second."""
        share = seconds / len(self._batches)
        return max(self._rate(batches, share) for batches in self._batches.values())

    def _rate(self, batches: list[Packed], seconds: float) -> float:
        tokens = 0
        start = time.perf_counter()
        for batch in itertools.cycle(batches):
            self._model.engine.infer(batch)
            tokens += batch.used
            spent = time.perf_counter() - start
            if spent >= seconds:
                return tokens / spent
        raise AssertionError("no batches")


def _batches(corpus: Corpus, budget: int) -> list[Packed]:
    found, windows, tokens = [], [], 0
    for document in corpus.documents:
        window = document.windows[0]
        if windows and tokens + len(window.ids) > budget:
            found.append(pack(windows))
            windows, tokens = [], 0
        windows.append(window)
        tokens += len(window.ids)
    return found
