"""An engine's memory is bounded by the lengths in use, not by the batches that were run."""

import random
from pathlib import Path

from polyhead_server.model import Model

PAGE = 4096
MEBIBYTE = 2**20


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def test_batches_of_any_length_leave_nothing_behind(tiny_bundle):
    """Thousands of batches of every length, in any order, after each length was met."""
    model = Model.load(tiny_bundle, threads=1)
    rng = random.Random(0)
    window = model.tokenize("the word").windows[0]
    jobs = model.jobs(model.tokenize("the word"), ("pos", "topic"))
    model.warm(len(window.ids) * 128)

    def run(batches):
        for _ in range(batches):
            model.run(jobs * rng.randint(1, 128))

    run(500)
    before = resident()
    run(2_500)
    assert resident() - before < 4 * MEBIBYTE
    model.close()
