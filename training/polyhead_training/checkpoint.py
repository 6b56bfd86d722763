"""Checkpoints: everything that a killed run needs to go on to the same result.

Tensors are safetensors, the rest is JSON; no pickle. A checkpoint is written beside the old one and
takes its place in one rename, so that a kill at any moment leaves a whole one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from polyhead_training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Tensors = dict[str, Tensor]

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"
HISTORY = "history.jsonl"
LOCK = "lock"


@dataclass(slots=True)
class Progress:
    """Where a run stands."""

    step: int = 0
    """Steps done."""
    best_score: float = -1.0
    best_step: int = 0
    waited: int = 0
    """Validations since the best one."""
    seconds: float = 0.0
    """Training time, over all starts."""
    loss: float = 0.0
    """Running mean of the loss."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry a validation: step, seconds, loss, figures."""


def save_checkpoint(
    folder: Path,
    *,
    fingerprint: str,
    progress: Progress,
    weights: Tensors,
    average: Tensors,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Write a checkpoint. ``fingerprint`` names the config and data that it belongs to."""
    tensors = {f"weights/{name}": value for name, value in weights.items()}
    tensors |= {f"average/{name}": value for name, value in average.items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{key}": value for key, value in state.items()}
    facts = {key: getattr(progress, key) for key in Progress.__slots__}
    _replace(
        folder / CHECKPOINT, tensors, {"fingerprint": fingerprint, "progress": json.dumps(facts)}
    )


def load_checkpoint(
    folder: Path, network: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[Progress, Tensors]:
    """Put a run back to its last checkpoint; returns its progress and averaged weights."""
    tensors = load_file(folder / CHECKPOINT)
    network.load_state_dict(_part(tensors, "weights/"))
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimiser/").items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = value
    whole = optimiser.state_dict()
    optimiser.load_state_dict({**whole, "state": state})
    with safe_open(folder / CHECKPOINT, framework="pt") as file:
        progress = Progress(**json.loads(file.metadata()["progress"]))
    return progress, _part(tensors, "average/")


def checkpoint_fingerprint(folder: Path) -> str | None:
    """Whose checkpoint lies in a folder; None where there is none.

    Raises:
        TrainingError: there is one that cannot be read.
    """
    file = folder / CHECKPOINT
    if not file.exists():
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            return str((opened.metadata() or {})["fingerprint"])
    except (SafetensorError, KeyError):
        raise TrainingError(
            f"{file} is damaged or no checkpoint: remove it, or start anew with --fresh"
        ) from None


def claim(folder: Path, fingerprint: str, of: str) -> bool:
    """Make a run directory, and make sure that no other run's checkpoint lies there.

    Args:
        folder: the run directory.
        fingerprint: names the run.
        of: what a run is of, for the error.

    Returns:
        Whether a checkpoint of this run is there to go on from.

    Raises:
        TrainingError: there is one of another run, or one that cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = checkpoint_fingerprint(folder)
    if found not in {None, fingerprint}:
        raise TrainingError(
            f"{folder} holds a run of another {of}: remove it, or start anew with --fresh"
        )
    return found is not None


@contextlib.contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Keep a run directory to this process for a while; it is made if need be.

    Raises:
        TrainingError: another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(f"another process trains in {folder}") from None
        yield


def clear_run(folder: Path, more: Iterable[str]) -> None:
    """Remove what a run left in its directory, and nothing else that may lie there.

    Args:
        folder: the run directory, which need not be there.
        more: files and folders that runs of the kind have beside checkpoint, weights and history.

    Raises:
        TrainingError: another process trains there.
    """
    if not folder.is_dir():
        return
    with sole_use(folder):
        for place in (folder / name for name in (CHECKPOINT, BEST, HISTORY, LOCK, *more)):
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)


def best_weights(folder: Path) -> Tensors:
    """The best weights of a run.

    Raises:
        TrainingError: there are none, or they cannot be read.
    """
    file = folder / BEST
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{file} is damaged or not there") from error


def save_weights(file: Path, weights: Tensors) -> None:
    """Write weights, in one rename."""
    _replace(file, weights, {})


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _replace(file: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    fresh = file.with_name(file.name + ".new")
    own = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    try:
        save_file(own, fresh, metadata=metadata)
    except SafetensorError as error:  # no room, most of the time
        fresh.unlink(missing_ok=True)
        raise TrainingError(f"{file} cannot be written: {error}") from error
    with fresh.open("rb") as stream:
        os.fsync(stream.fileno())
    fresh.replace(file)
