"""Starting a run from the weights of an earlier one: training in stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_training.adapters import is_adapter, merged_weights
from polyhead_training.checkpoint import best_weights
from polyhead_training.errors import TrainingError
from polyhead_training.layers import count_layers, layer_number, renumbered

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from polyhead_training.network import Encoder, MultiTaskNetwork

CONFIG_COPY = "config.toml"
"""Copy of the configuration in a run directory."""

_COUNTED = ".adjacent"
"""Counted from the data of each run, not learned."""


def start_from(network: MultiTaskNetwork, folder: Path) -> None:
    """Put the best weights of an earlier run into a network.

    Heads that the earlier run has not, or has in another size, keep their fresh weights, and so do
    adapters, the layer mix and added layers. The earlier run's adapters become part of its weights.
    Where the network keeps some layers only and the earlier run had all, it takes those over.

    Args:
        network: the network to start.
        folder: run directory of the earlier run.

    Raises:
        TrainingError: there are no such weights, or they are of another encoder.
    """
    try:
        weights = best_weights(folder)
    except TrainingError as error:
        raise TrainingError(f"{folder} holds no weights of a run to start from") from error
    own = network.state_dict()
    weights = _chosen(merged_weights(weights), network.encoder.kept)
    fitting = {
        name: value
        for name, value in weights.items()
        if name in own and value.shape == own[name].shape and not name.endswith(_COUNTED)
    }
    wanted = (name for name in own if name.startswith("encoder."))
    if any(name not in fitting and not _may_be_new(name, network.encoder) for name in wanted):
        raise TrainingError(f"{folder} is a run of another encoder")
    network.load_state_dict(fitting, strict=False)


def _chosen(weights: dict[str, Tensor], kept: tuple[int, ...]) -> dict[str, Tensor]:
    """The weights with the kept layers only, where they are of more layers than those."""
    if not kept or count_layers(list(weights)) <= kept[-1]:
        return weights
    places = {number: place for place, number in enumerate(kept)}
    chosen = {}
    for name, value in weights.items():
        number = layer_number(name)
        if number is None:
            chosen[name] = value
        elif number in places:
            chosen[renumbered(name, places[number])] = value
    return chosen


def _may_be_new(name: str, encoder: Encoder) -> bool:
    """Whether a tensor of the encoder may be one that no earlier run has."""
    number = layer_number(name)
    pretrained = encoder.transformer.config.num_hidden_layers - encoder.added
    added = number is not None and number >= pretrained
    return added or is_adapter(name) or name.startswith("encoder.mix.")


def earlier_config(folder: Path) -> str:
    """The configuration of an earlier run, for the record."""
    file = folder / CONFIG_COPY
    return file.read_text(encoding="utf-8") if file.exists() else "not kept"
