"""The layers of an encoder, of any family: found, counted by name, taken out, added."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import AutoModel

from polyhead_training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES = ("layer", "layers", "h")
_LAYER = re.compile(r"(?<=\.)(layer|layers|h)\.(\d+)(?=\.)")
_POSITION = re.compile(r"\.w[tp]e\.")
"""GPT-2's name for its embeddings."""


def layer_number(name: str) -> int | None:
    """Number of the layer that a parameter belongs to, from 0 at the bottom; None outside them."""
    found = _LAYER.search(name)
    return int(found[2]) if found else None


def count_layers(names: Sequence[str]) -> int:
    """How many layers the parameters of these names belong to."""
    return 1 + max((-1 if (at := layer_number(name)) is None else at for name in names), default=-1)


def depth_below(name: str, layers: int) -> int:
    """How far below the top layer an encoder's parameter stands.

    Args:
        name: of the parameter.
        layers: the encoder's number of layers.

    Returns:
        0 in the top layer and behind it, 1 in the layer below, ``layers`` in the embeddings.
    """
    number = layer_number(name)
    if number is not None:
        return layers - 1 - number
    return layers if "embed" in name or _POSITION.search(name) else 0


def layer_list(transformer: nn.Module) -> nn.ModuleList:
    """The list of an encoder's layers, bottom first.

    Raises:
        TrainingError: the encoder has none.
    """
    for name, module in transformer.named_modules():
        if isinstance(module, nn.ModuleList) and name.rpartition(".")[2] in _NAMES:
            return module
    kind = type(transformer).__name__
    raise TrainingError(f"an encoder of the kind {kind} has no layers to choose from")


def chosen_layers(wanted: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """Numbers of the layers to keep.

    Args:
        wanted: how many from the bottom, 0 for all; or their numbers.
        count: the encoder's number of layers.

    Raises:
        TrainingError: the encoder has fewer layers.
    """
    if wanted == 0:
        return tuple(range(count))
    chosen = tuple(range(wanted)) if isinstance(wanted, int) else wanted
    if chosen[-1] >= count:
        raise TrainingError(
            f"layers wants layer {chosen[-1]} of the encoder (the lowest is 0), "
            f"which has only {count}"
        )
    return chosen


def keep_layers(transformer: Any, kept: Sequence[int]) -> None:
    """Take all layers but those of the given numbers out of an encoder, in place."""
    layers = layer_list(transformer)
    chosen = [layers[number] for number in kept]
    while len(layers):
        del layers[0]
    layers.extend(chosen)
    _count_anew(transformer, layers)


def add_layers(transformer: Any, count: int) -> None:
    """Put freshly drawn layers of the encoder's own kind on top of it, in place."""
    settings = copy.deepcopy(transformer.config)
    settings.num_hidden_layers = count
    attention = settings._attn_implementation  # noqa: SLF001 - no public name
    drawn = AutoModel.from_config(settings, attn_implementation=attention)
    layers = layer_list(transformer)
    layers.extend(layer_list(drawn))
    _count_anew(transformer, layers)


def _count_anew(transformer: Any, layers: nn.ModuleList) -> None:
    """Tell the encoder and its layers how many they are now."""
    transformer.config.num_hidden_layers = len(layers)
    for number, layer in enumerate(layers):
        modules: list[Any] = list(layer.modules())
        for module in modules:
            if hasattr(module, "layer_idx"):
                module.layer_idx = number  # names the layer's place in a cache of keys


def renumbered(name: str, number: int) -> str:
    """A parameter's name with the number of another layer."""
    return _LAYER.sub(lambda found: f"{found[1]}.{number}", name, count=1)
