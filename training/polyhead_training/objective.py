"""Losses: cross entropy over the outputs that a source can tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from polyhead_training.batches import NO_TARGET, output_ids

if TYPE_CHECKING:
    from polyhead_server.bundle import HeadSpec
    from polyhead_training.config import SourceConfig


def source_outputs(spec: HeadSpec, source: SourceConfig) -> Tensor | None:
    """Indices of the head's outputs that a source can tell apart; None for all of them.

    A set with only two of three labels says nothing about the third: its loss compares the two.
    """
    known = set(source.among or spec.labels)
    if known == set(spec.labels):
        return None
    if spec.kind == "spans":
        known = {"O", *(f"{mark}-{label}" for label in known for mark in "BI")}
    return torch.tensor([index for name, index in output_ids(spec).items() if name in known])


def cross_entropy(
    logits: Tensor, targets: Tensor, outputs: Tensor | None, smoothing: float
) -> Tensor:
    """Mean cross entropy.

    Args:
        logits: [R, O].
        targets: index of the right output, [R]; NO_TARGET is left out.
        outputs: the outputs to compare, None for all.
        smoothing: probability mass taken from the right output and spread over all compared.
    """
    if outputs is not None:
        outputs = outputs.to(logits.device)
        places = torch.full((logits.shape[1],), NO_TARGET, device=logits.device)
        places[outputs] = torch.arange(len(outputs), device=logits.device)
        targets = torch.where(targets == NO_TARGET, targets, places[targets.clamp(min=0)])
        logits = logits[:, outputs]
    return functional.cross_entropy(
        logits.float(), targets, ignore_index=NO_TARGET, label_smoothing=smoothing
    )
