"""The parts of the bench: each measures one matter and can be run alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.parts import costs, curves, gateway, latency, raw, start, tasks, throughput

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bench.bench import Bench
    from tests.bench.rounds import Samples

PARTS: dict[str, Callable[[Bench], Samples]] = {
    "throughput": throughput.measure,
    "raw": raw.measure,
    "tasks": tasks.measure,
    "latency": latency.measure,
    "curves": curves.measure,
    "start": start.measure,
    "costs": costs.measure,
    "gateway": gateway.measure,
}
"""By name, in the order in which they run."""
