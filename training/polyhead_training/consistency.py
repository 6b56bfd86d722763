"""A loss for answers that hang on chance: two passes with different dropout should agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def disagreement(first: Tensor, second: Tensor) -> Tensor:
    """Mean of the two Kullback-Leibler divergences between two answers (R-Drop: Liang et al. 2021).

    Args:
        first: logits of one pass, [R, O].
        second: those of another pass over the same rows, with another dropout mask.
    """
    ours, theirs = first.float().log_softmax(dim=1), second.float().log_softmax(dim=1)
    there = functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    back = functional.kl_div(theirs, ours, reduction="batchmean", log_target=True)
    return (there + back) / 2
