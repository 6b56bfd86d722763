"""Low-rank adapters: a pretrained encoder that learns a task by a few added numbers.

Each linear layer of the encoder's layers keeps its weight and gets a product of two thin matrices
added to it, and only these are trained (LoRA: Hu et al. 2022). For serving the product becomes part
of the weight, so that an adapted encoder costs no more than another.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from polyhead_training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterable

Tensors = dict[str, Tensor]
_Module = TypeVar("_Module", bound=nn.Module)

_LEFT, _RIGHT, _SCALE = "adapter_left", "adapter_right", "adapter_scale"


class AdaptedLinear(nn.Module):
    """A linear layer whose weight stays, with a low-rank change that learns.

    The change is ``scale * left @ right`` and has the shape of the weight. It is 0 at first.

    Args:
        base: ``nn.Linear``, or ``Conv1D``, whose weight is transposed; its tensors are taken over.
        rank: inner size of the product.
        alpha: the product is scaled by alpha / rank.
    """

    adapter_scale: Tensor

    def __init__(self, base: Any, rank: int, alpha: float) -> None:
        super().__init__()
        self.transposed = isinstance(base, Conv1D)
        self.weight: nn.Parameter = base.weight
        self.bias: nn.Parameter | None = base.bias
        rows, columns = self.weight.shape
        left, right = torch.zeros(rows, rank), torch.zeros(rank, columns)
        nn.init.kaiming_uniform_(left.T if self.transposed else right, a=math.sqrt(5))
        self.adapter_left = nn.Parameter(left)
        self.adapter_right = nn.Parameter(right)
        self.register_buffer("adapter_scale", torch.tensor(alpha / rank))

    def forward(self, rows: Tensor) -> Tensor:
        """Map [..., I] to [..., O]."""
        weight: Tensor = self.weight
        first: Tensor = self.adapter_right
        then: Tensor = self.adapter_left
        if self.transposed:
            weight, first, then = weight.T, then.T, first.T
        change = functional.linear(functional.linear(rows, first), then)
        return functional.linear(rows, weight, self.bias) + self.adapter_scale * change

    @torch.no_grad()
    def merged(self) -> nn.Module:
        """A linear layer of the base's kind that gives the same."""
        rows, columns = self.weight.shape
        with torch.device("meta"):
            base = (
                Conv1D(columns, rows)
                if self.transposed
                else nn.Linear(columns, rows, bias=self.bias is not None)
            )
        base.weight = nn.Parameter(
            self.weight + self.adapter_scale * self.adapter_left @ self.adapter_right
        )
        base.bias = self.bias
        merged: nn.Module = base.train(self.training)
        return merged


def add_adapters(layers: Iterable[nn.Module], rank: int, alpha: float) -> None:
    """Put adapters on all linear layers below the given modules, in place.

    Raises:
        TrainingError: there is no linear layer.
    """
    found = [place for layer in layers for place in _places(layer, (nn.Linear, Conv1D))]
    if not found:
        raise TrainingError("the encoder has no linear layers for adapters")
    for parent, name, base in found:
        setattr(parent, name, AdaptedLinear(base, rank, alpha))


def merge_adapters(module: _Module) -> _Module:
    """The module with its adapters merged into the weights.

    A module without adapters is returned as it is, otherwise a copy.
    """
    if not any(isinstance(part, AdaptedLinear) for part in module.modules()):
        return module
    merged = copy.deepcopy(module)
    for parent, name, adapted in _places(merged, (AdaptedLinear,)):
        setattr(parent, name, adapted.merged())
    return merged


def _places(
    module: nn.Module, kinds: tuple[type[nn.Module], ...]
) -> list[tuple[nn.Module, str, Any]]:
    """Every part of certain kinds: the module it belongs to, its name there, itself."""
    return [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, kinds)
    ]


def is_adapter(name: str) -> bool:
    """Whether a tensor of a network belongs to an adapter."""
    return name.rpartition(".")[2] in {_LEFT, _RIGHT, _SCALE}


def merged_weights(weights: Tensors) -> Tensors:
    """The weights of a network with its adapters merged into them."""
    merged = {name: value for name, value in weights.items() if not is_adapter(name)}
    for name, left in weights.items():
        place, _, last = name.rpartition(".")
        if last == _LEFT:
            right, scale = weights[f"{place}.{_RIGHT}"], weights[f"{place}.{_SCALE}"]
            merged[f"{place}.weight"] = merged[f"{place}.weight"] + scale * left @ right
    return merged


def empty_adapters(weights: Tensors) -> Tensors:
    """The adapters of a network, changing nothing."""
    return {
        name: value if name.endswith(_SCALE) else torch.zeros_like(value)
        for name, value in weights.items()
        if is_adapter(name)
    }
