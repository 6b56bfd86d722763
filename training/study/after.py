"""What is measured of a trained run beside its figures: how it bears noise, and how fast it is."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from variants import NOISES

from polyhead_server.packing import pack
from polyhead_training.augment import augment
from polyhead_training.batches import source_of
from polyhead_training.config_types import AugmentConfig
from polyhead_training.data import load_inputs
from polyhead_training.torch_figures import exact_model
from polyhead_training.warm_start import CONFIG_COPY
from polyhead_training.workshop import Workshop, measure, reopen_workshop

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_training.data import Example

SPEED_TOKENS = 256
SPEED_RUNS = 40


def under_noise(folder: Path, data: Path) -> dict[str, dict[str, float]]:
    """A run's figures on changed dev texts, by change and source."""
    shop = _open(folder, data)
    model = exact_model(shop)
    found = {}
    for name, chances in NOISES.items():
        noisy = {
            source.name: replace(
                shop.data[source.name],
                dev=_changed(shop.data[source.name].dev, AugmentConfig(**chances)),
            )
            for source in shop.config.sources
        }
        figures = measure(model, shop.config, noisy, "dev", raw=False)
        found[name] = {figure.source: figure.value for figure in figures if figure.select}
    return found


def _changed(examples: tuple[Example, ...], change: AugmentConfig) -> tuple[Example, ...]:
    return tuple(_change(example, change, random.Random(at)) for at, example in enumerate(examples))


def _change(example: Example, change: AugmentConfig, rng: random.Random) -> Example:
    source = augment(source_of(example), change, rng)
    if isinstance(source, str):
        return replace(example, text=source)
    return replace(example, words=source, text=None, spans=None)


def speed(folder: Path, data: Path) -> float:
    """Tokens a second through a run's encoder in torch, fp32, batches of 256 tokens; the median."""
    shop = _open(folder, data)
    model = exact_model(shop)
    window = model.tokenize("The quick brown fox jumps over the lazy dog .").windows[0]
    batch = pack([window] * (SPEED_TOKENS // len(window.ids)))
    seconds = []
    for _ in range(SPEED_RUNS):
        start = time.perf_counter()
        model.engine.infer(batch)
        seconds.append(time.perf_counter() - start)
    return round(batch.used / median(seconds))


def _open(folder: Path, data: Path) -> Workshop:
    config, sources = load_inputs(folder / CONFIG_COPY, data)
    return reopen_workshop(config, sources, folder)
