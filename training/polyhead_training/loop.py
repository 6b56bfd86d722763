"""What all training runs have in common: steps, measurements, checkpoints, early stopping."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from polyhead_training.checkpoint import (
    BEST,
    HISTORY,
    Progress,
    load_checkpoint,
    save_checkpoint,
    save_weights,
)
from polyhead_training.distributed import ALONE
from polyhead_training.optimiser import build_optimiser

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch
    from torch import Tensor

    from polyhead_training.config import TrainingConfig
    from polyhead_training.distributed import Team
    from polyhead_training.language_model import LanguageModel
    from polyhead_training.network import MultiTaskNetwork
    from polyhead_training.plan import Step


@dataclass(frozen=True, slots=True)
class Hardware:
    """What training runs on."""

    device: torch.device
    bf16: bool
    team: Team = ALONE
    """The processes that train together."""


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Where a run keeps its checkpoints, history and best weights."""

    folder: Path
    fingerprint: str
    """Names configuration, data and pretrained weights."""


class StepWatcher(Protocol):
    """Is told of steps."""

    def step(self, done: int, total: int, loss: float, tokens: int) -> None:
        """A step was done; ``loss`` is a running mean."""


class Loop(ABC):
    """Trains a module along a plan; may be killed and made anew at any point.

    Args:
        module: what learns, on the hardware's device.
        plan: the steps.
        options: optimiser, schedule, measurements, patience.
        hardware: device and precision.
        place: where checkpoints and the best weights go.
        watcher: is told of steps.
    """

    def __init__(
        self,
        module: MultiTaskNetwork | LanguageModel,
        plan: Sequence[Step],
        options: TrainingConfig,
        *,
        hardware: Hardware,
        place: RunPlace,
        watcher: StepWatcher,
    ) -> None:
        self._module = module
        self._plan = plan
        self._options = options
        self._hardware = hardware
        self._place = place
        self._step_watcher = watcher
        self._optimiser = build_optimiser(module, options)
        self._average: dict[str, Tensor] = {}
        self.progress = Progress()

    @abstractmethod
    def _learn_from(self, number: int) -> tuple[float, int]:
        """Take a step of the plan; returns its loss and tokens."""

    @abstractmethod
    def _measure(self) -> None:
        """Measure the module, and note what came of it."""

    def resume(self) -> None:
        """Go back to the last checkpoint."""
        self.progress, average = load_checkpoint(self._place.folder, self._module, self._optimiser)
        device = self._hardware.device  # files are read to the CPU
        self._average = {name: value.to(device) for name, value in average.items()}

    def train(self) -> None:
        """Take all steps that are left, unless measurements stop improving."""
        marks = self._measured_steps()
        saved = started = time.monotonic()
        before = self.progress.seconds
        while self.progress.step < len(self._plan) and not self._exhausted():
            self._step(self.progress.step)
            self.progress.step += 1
            self.progress.seconds = before + time.monotonic() - started
            due = self.progress.step in marks
            if due:
                self._measure()
            late = time.monotonic() - saved >= self._options.checkpoint_seconds
            if self._hardware.team.leads and (due or late):
                self._save()
                saved = time.monotonic()

    def _measured_steps(self) -> set[int]:
        """The steps after which the module is measured."""
        count = self._options.validations
        return {math.ceil(len(self._plan) * part / count) for part in range(1, count + 1)}

    def _exhausted(self) -> bool:
        patience = self._options.patience
        return bool(patience) and self.progress.waited >= patience

    def _step(self, number: int) -> None:
        loss, tokens = self._learn_from(number)
        before = self.progress.loss
        self.progress.loss = 0.98 * before + 0.02 * loss if before else loss
        self._step_watcher.step(number + 1, len(self._plan), self.progress.loss, tokens)

    def _keep(self, weights: dict[str, Tensor], score: float, *, best: bool) -> None:
        """Keep the weights that were measured, if they are the best so far."""
        if best:
            save_weights(self._place.folder / BEST, weights)
            self.progress.best_score, self.progress.best_step = score, self.progress.step
        self.progress.waited = 0 if best else self.progress.waited + 1

    def _record(self, **measured: Any) -> None:
        """Add a measurement to the history."""
        entry = {
            "step": self.progress.step,
            "seconds": round(self.progress.seconds, 1),
            "loss": round(self.progress.loss, 4),
            **measured,
        }
        self.progress.history.append(entry)
        lines = [json.dumps(item) + "\n" for item in self.progress.history]
        (self._place.folder / HISTORY).write_text("".join(lines), encoding="utf-8")

    def _save(self) -> None:
        save_checkpoint(
            self._place.folder,
            fingerprint=self._place.fingerprint,
            progress=replace(self.progress),
            weights=dict(self._module.state_dict()),
            average=self._average,
            optimiser=self._optimiser,
        )
