"""Optimiser and learning-rate schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from polyhead_training.config import TrainingConfig
    from polyhead_training.network import MultiTaskNetwork


def build_optimiser(network: MultiTaskNetwork, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) with a learning rate each for encoder and new layers.

    Vectors (biases, layer norms) are not decayed.
    """
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        pretrained = name.startswith("encoder.transformer.")
        rate = config.learning_rate if pretrained else config.head_learning_rate
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": members, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), members in groups.items()
    ]
    return torch.optim.AdamW(options, betas=(0.9, 0.98), fused=True)


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
