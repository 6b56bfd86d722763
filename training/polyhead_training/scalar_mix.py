"""A learned mix of all layers of an encoder, instead of its top layer alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence


class ScalarMix(nn.Module):
    """One weighted mean of the embeddings and all layers, scaled (ELMo: Peters et al. 2018).

    Lower layers know more of form, upper ones more of meaning; the weights are learned with the
    tasks, starting from equal ones.

    Args:
        parts: number of the vectors that are mixed: layers, and one for the embeddings.
    """

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(parts))
        """The share of each part before the softmax."""
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, hidden: Sequence[Tensor]) -> Tensor:
        """Mix vectors [B, T, H], those of the embeddings first; returns [B, T, H]."""
        shares = torch.softmax(self.weights, dim=0)
        parts = [share * part for share, part in zip(shares.unbind(), hidden, strict=True)]
        return self.gamma * torch.stack(parts).sum(dim=0)
