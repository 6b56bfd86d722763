"""What the engine's runs cost, measured before the first call comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from polyhead_server.cost import RunCost
from polyhead_server.packing import ladder_length

if TYPE_CHECKING:
    from polyhead_server.model import Model

_PARTS = (16, 8, 4, 2, 1)
"""Batches of these parts of the budget are timed, twice each: the law has three numbers."""
_ROUNDS = 2
_MOST_SECONDS = 0.25


def seeded_cost(model: Model, batch_tokens: int) -> RunCost:
    """The cost of runs as the warmed engine shows it: some short runs that nobody waits for."""
    cost = RunCost()
    end = time.monotonic() + _MOST_SECONDS
    job = model.jobs(model.tokenize("warm"), ())[0]
    for _ in range(_ROUNDS):
        for part in _PARTS:
            if time.monotonic() >= end:
                return cost
            length = ladder_length(max(1, batch_tokens // part))
            run = model.run([job] * max(1, length // job.tokens))
            cost.learn(run.tokens + run.wasted_tokens, run.encode_seconds)
    return cost
