"""Losses: cross entropy over the outputs that a source can tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from polyhead_training.batches import NO_TARGET, output_ids
from polyhead_training.data.bio import OUTSIDE

if TYPE_CHECKING:
    from polyhead_server.bundle import HeadSpec
    from polyhead_training.config import SourceConfig


def source_outcomes(spec: HeadSpec, source: SourceConfig) -> Tensor | None:
    """Which outcome each of a head's outputs counts for, as a source sees it; None if all differ.

    A set with only two of three labels says nothing about the third: its loss compares the two. A
    set that marks only some kinds of span leaves words outside its spans open: they may as well
    belong to a span of a kind it does not mark. There O and the tags of those kinds are one
    outcome, whose probability is the sum of theirs. So it is for a tagging head with a tag O.

    Returns:
        The outcome of each output, from 0, [O]; NO_TARGET for outputs that are not compared.
    """
    known = set(source.among or spec.labels)
    if known == set(spec.labels):
        return None
    if spec.kind == "spans":
        known = {OUTSIDE, *(f"{mark}-{label}" for label in known for mark in "BI")}
    ids = output_ids(spec)
    places = {name: place for place, name in enumerate(name for name in ids if name in known)}
    outside = places.get(OUTSIDE, NO_TARGET) if spec.kind != "classification" else NO_TARGET
    return torch.tensor([places.get(name, outside) for name in ids])


def cross_entropy(
    logits: Tensor, targets: Tensor, outcomes: Tensor | None, smoothing: float
) -> Tensor:
    """Mean cross entropy.

    Args:
        logits: [R, O].
        targets: index of the right output, [R]; NO_TARGET is left out.
        outcomes: the outcome of each output, [O], None for one each; see `source_outcomes`.
        smoothing: probability mass taken from the right outcome and spread over all compared.
    """
    logits = logits.float()
    if outcomes is not None:
        outcomes = outcomes.to(logits.device)
        targets = torch.where(targets == NO_TARGET, targets, outcomes[targets.clamp(min=0)])
        logits = outcome_logits(logits, outcomes)
    return functional.cross_entropy(
        logits, targets, ignore_index=NO_TARGET, label_smoothing=smoothing
    )


def outcome_logits(logits: Tensor, outcomes: Tensor) -> Tensor:
    """Unnormalised log probability of each outcome, [R, outcomes].

    Args:
        logits: [R, O].
        outcomes: the outcome of each output, [O]; see `source_outcomes`.
    """
    count = int(outcomes.max()) + 1
    parts = [logits[:, outcomes == number].logsumexp(dim=1) for number in range(count)]
    return torch.stack(parts, dim=1)


def distillation(logits: Tensor, soft: Tensor, temperature: float) -> Tensor:
    """Divergence of a student's distributions from its teachers' (Hinton et al. 2015).

    Args:
        logits: [R, O].
        soft: the teachers' log-probabilities, [R, O].
        temperature: flattens both; the square of it keeps the size of the gradients.

    Returns:
        Mean Kullback-Leibler divergence of a row, times the square of the temperature.
    """
    student = functional.log_softmax(logits.float() / temperature, dim=1)
    teacher = functional.log_softmax(soft / temperature, dim=1)
    divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2
