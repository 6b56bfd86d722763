"""Does memory grow? Batches of many lengths through one engine: `python -m tests.bench.memory`.

Resident memory is printed ten times on the way; the last line says by how much it grew after the
first tenth, in which every length was met. 100,000 batches take some minutes.
"""

from __future__ import annotations

import argparse
import os
import random
from pathlib import Path

import numpy as np

from polyhead_server.cpus import usable_cpus
from polyhead_server.model import Model
from polyhead_server.packing import Packed, ladder_length
from polyhead_server.settings import DEFAULT_BUNDLE
from tests.bench.processes import MEBIBYTE, resident


def main() -> None:
    """Run, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--batches", type=int, default=100_000)
    parser.add_argument("--most", type=int, default=256, help="tokens of the longest batch")
    options = parser.parse_args()
    model = Model.load(options.bundle, threads=usable_cpus())
    print(f"loaded: {resident(os.getpid()) / MEBIBYTE:.0f} MiB")
    model.warm(options.most)
    print(f"warm: {resident(os.getpid()) / MEBIBYTE:.0f} MiB")
    sizes = varied(model, options.batches, options.most)
    model.close()
    print(f"grew by {(sizes[-1] - sizes[0]) / MEBIBYTE:.1f} MiB")


def varied(model: Model, batches: int, most: int) -> list[int]:
    """Run batches of random lengths; resident bytes after each tenth of them."""
    rng = random.Random(0)
    sizes = []
    for number in range(1, batches + 1):
        model.engine.infer(batch_of(rng.randint(1, most)))
        if number % max(1, batches // 10) == 0:
            sizes.append(resident(os.getpid()))
            print(f"{number}: {sizes[-1] / MEBIBYTE:.1f} MiB", flush=True)
    return sizes


def batch_of(tokens: int) -> Packed:
    """A batch of so many tokens, filled up as the server does."""
    length = ladder_length(tokens)
    zeros = np.zeros(length, np.int32)
    segments = np.where(np.arange(length) < tokens, 0, -1).astype(np.int32)
    return Packed(zeros, zeros, segments, zeros, (0,), tokens)


if __name__ == "__main__":
    main()
