"""Optimiser and learning-rate schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from polyhead_training.layers import count_layers, depth_below

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyhead_training.config import TrainingConfig
    from polyhead_training.config_types import OptimiserKind
    from polyhead_training.language_model import LanguageModel
    from polyhead_training.network import MultiTaskNetwork

_SLANT = 32
"""The peak of slanted triangular rates over their lowest (Howard and Ruder 2018)."""

_OPTIMISERS: dict[OptimiserKind, Callable[[list[dict[str, Any]]], torch.optim.Optimizer]] = {
    "adamw": lambda groups: torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True),
    "radam": lambda groups: torch.optim.RAdam(
        groups, betas=(0.9, 0.98), decoupled_weight_decay=True
    ),
    "adafactor": torch.optim.Adafactor,
    "sgd": lambda groups: torch.optim.SGD(groups, momentum=0.9),
}


def build_optimiser(
    network: MultiTaskNetwork | LanguageModel, config: TrainingConfig
) -> torch.optim.Optimizer:
    """The configured optimiser, with a learning rate each for new and encoder layers.

    Encoder rates may fall from the top pretrained layer down to the embeddings, since lower layers
    are the more general ones (discriminative fine-tuning: Howard and Ruder 2018). Vectors (biases,
    layer norms) are not decayed. What is frozen for the whole training is left out.
    """
    own = {name: value for name, value in network.named_parameters() if value.requires_grad}
    layers = count_layers([name for name, _ in network.named_parameters()]) - network.encoder.added
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in own.items():
        rate = config.head_learning_rate
        if name.startswith("encoder.transformer."):
            rate = config.learning_rate * config.layer_decay ** max(0, depth_below(name, layers))
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return _OPTIMISERS[config.optimiser](
        [
            {"params": members, "lr": rate, "peak": rate, "weight_decay": decay}
            for (rate, decay), members in groups.items()
        ]
    )


def set_rates(optimiser: torch.optim.Optimizer, config: TrainingConfig, done: float) -> None:
    """Set the learning rates for a point of training, from 0 (start) to 1 (end)."""
    factor = rate_factor(config, done)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor


def rate_factor(config: TrainingConfig, done: float) -> float:
    """Learning rate as a fraction of its peak."""
    rising = done < config.warmup
    left = done / config.warmup if rising else (1 - done) / (1 - config.warmup)
    if config.schedule == "slanted":
        return (1 + left * (_SLANT - 1)) / _SLANT
    if rising:
        return left
    if config.schedule == "linear":
        return left
    if config.schedule == "cosine":
        return 0.5 * (1 - math.cos(math.pi * left))
    return 1.0
