"""Four tasks against one: what the heads cost beside the encoder that they share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench.bench import MIX
from tests.bench.calls import BATCH
from tests.bench.rounds import Samples, over, take_turns

if TYPE_CHECKING:
    from tests.bench.bench import Bench


def measure(bench: Bench) -> Samples:
    """News texts, 32 a call, with the first task and with all."""
    wanted = {"one_task": bench.tasks[:1], "all_tasks": bench.tasks}
    arms = {
        name: partial(bench.press_with, bench.server, BATCH, MIX, tasks)
        for name, tasks in wanted.items()
    }
    samples = take_turns("tasks", arms, 2 * bench.patience.rounds)
    names = (f"{name}/tokens_per_second" for name in wanted)
    samples.derive("four_tasks_over_one", over, *names)
    return samples
