"""The raw engine alone: for a look at the machine, without a server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench.rounds import Samples, take_turns

if TYPE_CHECKING:
    from tests.bench.bench import Bench


def measure(bench: Bench) -> Samples:
    """Throughput of every kind of texts, and the time of one text by itself."""
    seconds = bench.patience.seconds
    arms = {f"raw/{kind}": partial(bench.press_raw, kind) for kind in bench.corpora}
    arms |= {
        f"raw_one/{kind}": partial(bench.raw.one_by_one, kind, seconds / 2)
        for kind in bench.corpora
    }
    return take_turns("raw", arms, bench.patience.rounds)
