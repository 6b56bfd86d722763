"""Starting a run from the weights of an earlier one: training in stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_training.adapters import is_adapter, merged_weights
from polyhead_training.checkpoint import best_weights
from polyhead_training.config import load_config
from polyhead_training.errors import TrainingError
from polyhead_training.layers import count_layers, layer_number, renumbered

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import Tensor

    from polyhead_training.network import Encoder, MultiTaskNetwork

CONFIG_COPY = "config.toml"
"""Copy of the configuration in a run directory."""

_COUNTED = ".adjacent"
"""Counted from the data of each run, not learned."""

_Mark = tuple[str, int]
"""Whether a layer is pretrained or added, and its number among those."""


def start_from(network: MultiTaskNetwork, folder: Path) -> None:
    """Put the best weights of an earlier run into a network.

    Heads that the earlier run has not, or has in another size, keep their fresh weights, and so do
    adapters, the layer mix and added layers that it has not. The earlier run's adapters become part
    of its weights. Each pretrained layer that the network keeps is taken from its place in the
    earlier run, and so are added layers.

    Args:
        network: the network to start.
        folder: run directory of the earlier run.

    Raises:
        InputError: the earlier run's configuration has errors.
        TrainingError: there are no such weights, or they are of another encoder, or of too few
            layers.
    """
    try:
        weights = best_weights(folder)
    except TrainingError as error:
        raise TrainingError(f"{folder} holds no weights of a run to start from") from error
    own = network.state_dict()
    weights = _placed(merged_weights(weights), network.encoder, folder)
    fitting = {
        name: value
        for name, value in weights.items()
        if name in own and value.shape == own[name].shape and not name.endswith(_COUNTED)
    }
    wanted = (name for name in own if name.startswith("encoder."))
    if any(name not in fitting and not _may_be_new(name, network.encoder) for name in wanted):
        raise TrainingError(f"{folder} is a run of another encoder, or of other layers of it")
    network.load_state_dict(fitting, strict=False)


def _placed(weights: dict[str, Tensor], encoder: Encoder, folder: Path) -> dict[str, Tensor]:
    """An earlier run's weights with each layer in the place that it has in an encoder."""
    pretrained = _pretrained(encoder)
    own = _marks(encoder.kept or range(pretrained), encoder.added)
    earlier = _earlier_marks(folder, count_layers(list(weights)))
    places = {number: own.index(mark) for number, mark in enumerate(earlier) if mark in own}
    placed = {}
    for name, value in weights.items():
        number = layer_number(name)
        if number is None:
            placed[name] = value
        elif number in places:
            placed[renumbered(name, places[number])] = value
    return placed


def _earlier_marks(folder: Path, total: int) -> list[_Mark]:
    """What each of an earlier run's layers is, bottom first."""
    file = folder / CONFIG_COPY
    if not file.exists():
        return _marks(range(total), 0)
    options = load_config(file).encoder
    layers = options.layers or total - options.add_layers
    return _marks(range(layers) if isinstance(layers, int) else layers, options.add_layers)


def _marks(kept: Iterable[int], added: int) -> list[_Mark]:
    """What each layer is: a pretrained one, by its number there, or an added one."""
    old: list[_Mark] = [("pretrained", number) for number in kept]
    return old + [("added", number) for number in range(added)]


def _may_be_new(name: str, encoder: Encoder) -> bool:
    """Whether a tensor of the encoder may be one that no earlier run has."""
    number = layer_number(name)
    added = number is not None and number >= _pretrained(encoder)
    return added or is_adapter(name) or name.startswith("encoder.mix.")


def _pretrained(encoder: Encoder) -> int:
    """How many of an encoder's layers are pretrained ones."""
    layers: int = encoder.transformer.config.num_hidden_layers
    return layers - encoder.added


def earlier_config(folder: Path) -> str:
    """The configuration of an earlier run, for the record."""
    file = folder / CONFIG_COPY
    return file.read_text(encoding="utf-8") if file.exists() else "not kept"
