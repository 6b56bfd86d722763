"""The mean of the weights of several runs: one network that generalises better than each.

Runs that start from the same pretrained encoder and differ in data order, passes or learning rates
end close enough to each other for their mean to be a good network ("model soups": Wortsman et al.
2022). The mean costs nothing to serve.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch

from polyhead_training.adapters import empty_adapters, merged_weights
from polyhead_training.bundle_place import beside
from polyhead_training.checkpoint import BEST, best_weights, save_weights
from polyhead_training.config import load_config
from polyhead_training.errors import TrainingError
from polyhead_training.warm_start import CONFIG_COPY
from polyhead_training.workshop import ENCODER_FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor


def average_runs(runs: Sequence[Path], place: Path) -> None:
    """Write the mean of the best weights of runs as a run of its own.

    Adapters become part of the weights first, since the mean of products is no product of means.

    Args:
        runs: run directories with the same encoder and heads; the first gives configuration and
            tokenizer.
        place: run directory to be made.

    Raises:
        TrainingError: a directory holds no weights of a run, or the networks differ in shape or
            in what their outputs mean, or the place is taken.
    """
    if place.exists():
        raise TrainingError(f"{place} exists: remove it first")
    for run in runs[1:]:
        _ensure_alike(runs[0], run)
    states = [_weights(run) for run in runs]
    mean = mean_weights([merged_weights(state) for state in states]) | empty_adapters(states[0])
    fresh = beside(place, "new")
    shutil.rmtree(fresh, ignore_errors=True)  # of one that was killed
    fresh.mkdir(parents=True)
    shutil.copytree(runs[0] / ENCODER_FOLDER, fresh / ENCODER_FOLDER)
    shutil.copyfile(runs[0] / CONFIG_COPY, fresh / CONFIG_COPY)
    save_weights(fresh / BEST, mean)
    fresh.rename(place)


def mean_weights(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each tensor; tensors of whole numbers are taken from the first.

    Raises:
        TrainingError: the states differ in names or shapes.
    """
    first = states[0]
    shapes = {name: value.shape for name, value in first.items()}
    if any({name: value.shape for name, value in s.items()} != shapes for s in states[1:]):
        raise TrainingError("the runs differ in encoder or heads: their weights have no mean")
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }


def _ensure_alike(first: Path, other: Path) -> None:
    """Raise TrainingError where numbers at the same place of two runs mean different things."""
    ours, theirs = (_meaning(run) for run in (first, other))
    for what in sorted(ours.keys() | theirs.keys()):
        if ours.get(what) != theirs.get(what):
            raise TrainingError(f"{other} differs from {first} in its {what}: they have no mean")


def _meaning(run: Path) -> dict[str, object]:
    """What gives weights their meaning, by its name."""
    _ensure_run(run)
    config = load_config(run / CONFIG_COPY)
    encoder = config.encoder
    tokenizer = run / ENCODER_FOLDER / "tokenizer.json"
    heads = {
        f'head "{head.name}"': (head.kind, head.labels, head.pooling, head.hidden)
        for head in config.heads
    }
    return heads | {
        "layers": encoder.layers,
        "mix of layers": encoder.mix,
        "word shapes": encoder.shape_embedding,
        "tokenizer": tokenizer.read_bytes() if tokenizer.is_file() else b"",
    }


def _ensure_run(run: Path) -> None:
    if not (run / ENCODER_FOLDER).is_dir() or not (run / CONFIG_COPY).is_file():
        raise TrainingError(f"{run} is not a run directory")


def _weights(run: Path) -> dict[str, Tensor]:
    _ensure_run(run)
    return best_weights(run)
