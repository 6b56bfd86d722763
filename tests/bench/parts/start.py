"""Time from process start to ready, and memory then and after load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.bench import MIX
from tests.bench.calls import BATCH, SINGLE
from tests.bench.rounds import Samples, take_turns
from tests.bench.servers import serving

if TYPE_CHECKING:
    from tests.bench.bench import Bench


def measure(bench: Bench) -> Samples:
    """Start servers one behind the other."""

    def start() -> dict[str, float]:
        with serving(bench.path, *bench.flags) as server:
            ready = server.usage()
            for form in (SINGLE, BATCH):
                bench.press_with(server, form, MIX, bench.tasks)
            loaded = server.usage()
        return {
            "ready_seconds": server.seconds,
            "ready_mebibytes": ready.mebibytes,
            "loaded_mebibytes": loaded.mebibytes,
            "loaded_threads": loaded.threads,
        }

    return take_turns("start", {"start": start}, bench.patience.starts, warm=False)
