"""One stream of all threads against as many streams of one thread: `python -m tests.bench.streams`.

The raw engine, both forms in turns in every round; medians of tokens/s, and processor seconds for
each million tokens, since those hold on a shared machine.
"""

from __future__ import annotations

import argparse
import threading
import time
from functools import partial
from pathlib import Path

from polyhead_server.cpus import usable_cpus
from polyhead_server.engine import EngineOptions
from polyhead_server.model import Model
from polyhead_server.settings import DEFAULT_BUNDLE
from tests.bench.memory import batch_of
from tests.bench.rounds import take_turns

LENGTHS = (64, 128, 256)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--threads", type=int, default=max(2, usable_cpus()))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="of each stretch")
    options = parser.parse_args()
    models = {count: _model(options, count) for count in (1, options.threads)}
    cases = [(length, count) for length in LENGTHS for count in models]
    arms = {
        f"{length}/{count}": partial(stretch, models[count], length, options.seconds)
        for length, count in cases
    }
    samples = take_turns("streams", arms, options.rounds, warm=False)
    for length, count in cases:
        facts = models[count].engine.facts
        print(
            f"batches of {length:>3} tokens, {facts.streams} streams, {facts.threads} threads: "
            f"{samples[f'{length}/{count}/tokens_per_second'].median:>8,.0f} tokens/s, "
            f"{samples[f'{length}/{count}/cpu_per_million'].median:>6.2f} "
            "CPU seconds a million tokens"
        )


def _model(options: argparse.Namespace, streams: int) -> Model:
    wanted = EngineOptions(streams=streams)
    model = Model.load(options.bundle, threads=options.threads, options=wanted)
    if model.engine.streams < streams:
        print(f"only {model.engine.streams} of {streams} streams: too few processors are usable")
    model.warm(max(LENGTHS))
    return model


def stretch(model: Model, length: int, seconds: float) -> dict[str, float]:
    """As many callers as there are streams, each with one batch behind the other."""
    batch = batch_of(length)
    counts: list[int] = []
    begun, cpu = time.perf_counter(), time.process_time()

    def caller() -> None:
        done = 0
        while time.perf_counter() - begun < seconds:
            model.engine.infer(batch)
            done += 1
        counts.append(done)

    callers = [threading.Thread(target=caller) for _ in range(model.engine.streams)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    tokens = sum(counts) * length
    spent = time.process_time() - cpu
    return {
        "tokens_per_second": tokens / (time.perf_counter() - begun),
        "cpu_per_million": 1e6 * spent / tokens,
    }


if __name__ == "__main__":
    main()
