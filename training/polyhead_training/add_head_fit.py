"""Fits a head to vectors of a finished encoder.

The vectors are standardised, and what that took is folded into the matrices, so that the head is
served like any other. A head without a hidden layer is fitted to convergence by L-BFGS, from strong
to weak regularisation, the next start being the last solution; dev data choose among these. One
with a hidden layer is fitted by AdamW; dev data choose the pass to stop after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from polyhead_training.scored import Floats

LINEAR_PASSES, HIDDEN_PASSES = 50, 20

_STRENGTHS = (1000, 300, 100, 30, 10, 3, 1, 0.3)
"""Weights of half the squared norm, beside the sum of the losses of all rows."""
_PATIENCE = 2
"""Solutions, or passes, that may be worse on dev data than the best before the search ends."""
_HIDDEN_PATIENCE = 4
_BATCH_ROWS = (32, 256)
"""Rows of a step with a hidden layer: at least, and at most."""
_STEPS_A_PASS = 100
_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 0.02
_DROPOUT = 0.1
_FLAT = 1e-6
"""Values that vary less than this carry nothing."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Vectors and what is to be made of them."""

    vectors: Floats
    """[R, H]."""
    gold: NDArray[np.intp]
    """Index of the right output, [R]."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted head."""

    tensors: dict[str, Floats]
    """As the bundle holds them."""
    dev_loss: float
    """Mean cross entropy on the dev rows."""
    strength: float | None
    """Weight of half the squared norm beside the losses' sum, without a hidden layer."""
    passes: int | None
    """Passes that were best, with one."""


class _Layers(nn.Module):
    def __init__(self, width: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden) if hidden else None
        self.out = nn.Linear(hidden or width, outputs)
        self.dropout = nn.Dropout(_DROPOUT)
        if not hidden:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, rows: Tensor) -> Tensor:
        if self.hidden is not None:
            rows = self.dropout(torch.tanh(self.hidden(self.dropout(rows))))
        logits: Tensor = self.out(rows)
        return logits


def fit_head(
    train: Rows, dev: Rows, *, outputs: int, hidden: int, passes: int, seed: int
) -> Fitted:
    """Fit a head.

    Args:
        train: rows to learn from.
        dev: rows that choose among solutions.
        outputs: number of outputs.
        hidden: width of the hidden layer, 0 for none.
        passes: passes over the training rows at most, for each solution; 0 for the default.
        seed: of everything random; a head without a hidden layer has nothing random.
    """
    torch.manual_seed(seed)
    mean = train.vectors.mean(axis=0, dtype=np.float64)
    spread = np.maximum(train.vectors.std(axis=0, dtype=np.float64), _FLAT)
    layers = _Layers(train.vectors.shape[1], hidden, outputs)
    parts = [_tensors(rows, mean, spread) for rows in (train, dev)]
    if hidden:
        solutions, patience = _by_pass(layers, *parts[0], passes or HIDDEN_PASSES), _HIDDEN_PATIENCE
    else:
        solutions, patience = _by_strength(layers, *parts[0], passes or LINEAR_PASSES), _PATIENCE
    best, state, mark = math.inf, layers.state_dict(), 0.0
    waited = 0
    for found in solutions:
        loss = _loss(layers, *parts[1])
        if loss < best:
            best, mark, waited = loss, found, 0
            state = {name: value.clone() for name, value in layers.state_dict().items()}
        elif (waited := waited + 1) >= patience:
            break
    tensors = _folded({name: value.numpy() for name, value in state.items()}, mean, spread)
    return Fitted(tensors, best, None if hidden else mark, int(mark) if hidden else None)


def _tensors(
    rows: Rows, mean: NDArray[np.float64], spread: NDArray[np.float64]
) -> tuple[Tensor, Tensor]:
    vectors = (rows.vectors - mean.astype(np.float32)) / spread.astype(np.float32)
    return torch.from_numpy(vectors), torch.from_numpy(rows.gold)


@torch.no_grad()
def _loss(layers: _Layers, vectors: Tensor, gold: Tensor) -> float:
    layers.eval()
    return float(functional.cross_entropy(layers(vectors), gold))


def _by_strength(layers: _Layers, vectors: Tensor, gold: Tensor, passes: int) -> Iterator[float]:
    """Solve for one strength of regularisation after the other, weaker and weaker."""
    weight = layers.out.weight

    def closure(strength: float) -> Tensor:
        layers.zero_grad()
        loss = functional.cross_entropy(layers(vectors), gold)
        loss = loss + strength / (2 * len(gold)) * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for strength in _STRENGTHS:
        layers.eval()
        optimiser = torch.optim.LBFGS(
            layers.out.parameters(),
            max_iter=passes,
            max_eval=passes,
            tolerance_grad=1e-5,
            tolerance_change=1e-8,
            line_search_fn="strong_wolfe",
        )
        optimiser.step(partial(closure, strength))  # type: ignore[no-untyped-call]
        yield strength


def _by_pass(layers: _Layers, vectors: Tensor, gold: Tensor, passes: int) -> Iterator[float]:
    """Learn for one pass after the other."""
    rows = min(max(len(gold) // _STEPS_A_PASS, _BATCH_ROWS[0]), _BATCH_ROWS[1])
    steps = math.ceil(len(gold) / rows) * passes
    optimiser = torch.optim.AdamW(
        layers.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for number in range(1, passes + 1):
        layers.train()
        for chosen in torch.split(torch.randperm(len(gold)), rows):
            optimiser.zero_grad()
            functional.cross_entropy(layers(vectors[chosen]), gold[chosen]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        yield number


def _folded(
    state: dict[str, Floats], mean: NDArray[np.float64], spread: NDArray[np.float64]
) -> dict[str, Floats]:
    """The same head for vectors that are not standardised."""
    first = "hidden" if "hidden.weight" in state else "out"
    weight = state[f"{first}.weight"].astype(np.float64) / spread
    bias = state[f"{first}.bias"] - weight @ mean
    changed = {f"{first}.weight": weight, f"{first}.bias": bias}
    return {name: value.astype(np.float32) for name, value in (state | changed).items()}
