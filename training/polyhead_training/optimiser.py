"""Optimiser and learning-rate schedule."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from polyhead_training.config import TrainingConfig
    from polyhead_training.network import MultiTaskNetwork

_LAYER = re.compile(r"\.(?:layer|layers|h)\.(\d+)\.")
_POSITION = re.compile(r"\.w[tp]e\.")
"""GPT-2's name for its embeddings."""


def build_optimiser(network: MultiTaskNetwork, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) with a learning rate each for new and encoder layers.

    Encoder rates may fall from the top layer down to the embeddings, since lower layers are the
    more general ones (discriminative fine-tuning: Howard and Ruder 2018). Vectors (biases, layer
    norms) are not decayed.
    """
    layers = 1 + max((_layer(name, -1) for name, _ in network.named_parameters()), default=-1)
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        rate = config.head_learning_rate
        if name.startswith("encoder.transformer."):
            below = layers - 1 - _layer(name, layers if _on_top(name) else -1)
            rate = config.learning_rate * config.layer_decay ** max(0, below)
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": members, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), members in groups.items()
    ]
    return torch.optim.AdamW(options, betas=(0.9, 0.98), fused=True)


def _layer(name: str, default: int) -> int:
    """Number of the encoder layer that a parameter belongs to, from 0."""
    found = _LAYER.search(name)
    return int(found[1]) if found else default


def _on_top(name: str) -> bool:
    """Whether a parameter outside the layers stands behind them, not before."""
    return "embed" not in name and not _POSITION.search(name)


def set_rates(optimiser: torch.optim.Optimizer, config: TrainingConfig, done: float) -> None:
    """Set the learning rates for a point of training, from 0 (start) to 1 (end)."""
    factor = rate_factor(config, done)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor


def rate_factor(config: TrainingConfig, done: float) -> float:
    """Learning rate as a fraction of its peak."""
    if done < config.warmup:
        return done / config.warmup
    left = (1 - done) / (1 - config.warmup)
    if config.schedule == "linear":
        return left
    if config.schedule == "cosine":
        return 0.5 * (1 - math.cos(math.pi * left))
    return 1.0
