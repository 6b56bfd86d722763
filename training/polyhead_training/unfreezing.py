"""Which parts of the encoder learn: none, some, or one more layer after another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn

from polyhead_training.adapters import add_adapters, is_adapter
from polyhead_training.layers import count_layers, depth_below, layer_list, layer_number

if TYPE_CHECKING:
    from polyhead_training.config import Config, EncoderConfig
    from polyhead_training.network import Encoder, MultiTaskNetwork

_TRANSFORMER = "encoder.transformer."


def prepare_encoder(encoder: Encoder, config: EncoderConfig) -> None:
    """Freeze a fresh encoder, or put adapters on it, as configured.

    A shape embedding that does not learn from the first step starts at 0, so that the pretrained
    encoder's output is what the heads get.
    """
    if config.train in {"frozen", "gradual"} and encoder.shapes is not None:
        nn.init.zeros_(encoder.shapes.weight)
    if config.train == "adapters":
        layers = list(layer_list(encoder.transformer))
        pretrained = layers[: len(layers) - encoder.added]
        add_adapters(pretrained, config.adapter_rank, config.adapter_alpha)
    if config.train in {"frozen", "adapters"}:
        for name, parameter in encoder.transformer.named_parameters():
            learns = is_adapter(name) or _is_added(f".{name}", encoder)
            parameter.requires_grad_(learns)
    if config.train == "frozen":
        encoder.frozen = True
        if encoder.shapes is not None:
            encoder.shapes.requires_grad_(requires_grad=False)


def still_frozen(encoder: Encoder) -> None:
    """Switch dropout off in a frozen encoder, though not in the layers that were added to it."""
    encoder.transformer.eval()
    if encoder.added:
        for layer in layer_list(encoder.transformer)[-encoder.added :]:
            layer.train()


def _is_added(name: str, encoder: Encoder) -> bool:
    number = layer_number(name)
    if number is None or not encoder.added:
        return False
    return number >= len(layer_list(encoder.transformer)) - encoder.added


class Unfreezing:
    """Opens an encoder for training from the top layer down (ULMFiT: Howard and Ruder 2018).

    The heads, the layer mix and added layers learn from the start. The top pretrained layer
    follows, then the one below it, and the embeddings last, at evenly spaced points of training.
    What is open depends on the point of training alone, so that a resumed run goes on as it was.

    Args:
        network: whose encoder is opened; nothing happens unless the configuration says gradual.
        config: the configuration.
    """

    def __init__(self, network: MultiTaskNetwork, config: Config) -> None:
        self._until = config.encoder.unfrozen_by
        gradual = config.encoder.train == "gradual"
        self._groups = _groups_from_the_top(network) if gradual else []

    def reach(self, done: float) -> None:
        """Open what learns at a point of training, from 0 (start) to 1 (end)."""
        count = len(self._groups)
        opened = math.floor(done / self._until * count + 1e-9)  # 3 of 30 steps are a tenth
        for depth, group in enumerate(self._groups):
            for parameter in group:
                parameter.requires_grad_(depth < opened)


def _groups_from_the_top(network: MultiTaskNetwork) -> list[list[nn.Parameter]]:
    """Parameters of each pretrained layer, top first, and of the embeddings.

    Those that never learn, such as the second bias of an LSTM, are left out.
    """
    own = dict(network.named_parameters())
    layers = count_layers([name for name in own if name.startswith(_TRANSFORMER)])
    layers -= network.encoder.added
    groups: list[list[nn.Parameter]] = [[] for _ in range(layers + 1)]
    for name, parameter in own.items():
        if not parameter.requires_grad:
            continue
        if name.startswith("encoder.shapes."):
            groups[-1].append(parameter)
        elif name.startswith(_TRANSFORMER) and (depth := depth_below(name, layers)) >= 0:
            groups[depth].append(parameter)
    return groups
