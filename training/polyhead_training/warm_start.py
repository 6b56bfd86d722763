"""Starting a run from the weights of an earlier one: training in stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load_file

from polyhead_training.checkpoint import BEST
from polyhead_training.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_training.network import MultiTaskNetwork

CONFIG_COPY = "config.toml"
"""Copy of the configuration in a run directory."""

_COUNTED = ".adjacent"
"""Counted from the data of each run, not learned."""


def start_from(network: MultiTaskNetwork, folder: Path) -> None:
    """Put the best weights of an earlier run into a network.

    Heads that the earlier run has not, or has in another size, keep their fresh weights.

    Args:
        network: the network to start.
        folder: run directory of the earlier run.

    Raises:
        TrainingError: there are no such weights, or they are of another encoder.
    """
    try:
        weights = load_file(folder / BEST)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{folder} holds no weights of a run to start from") from error
    own = network.state_dict()
    fitting = {
        name: value
        for name, value in weights.items()
        if name in own and value.shape == own[name].shape and not name.endswith(_COUNTED)
    }
    if any(name.startswith("encoder.") and name not in fitting for name in own):
        raise TrainingError(f"{folder} is a run of another encoder")
    network.load_state_dict(fitting, strict=False)


def earlier_config(folder: Path) -> str:
    """The configuration of an earlier run, for the record."""
    file = folder / CONFIG_COPY
    return file.read_text(encoding="utf-8") if file.exists() else "not kept"
