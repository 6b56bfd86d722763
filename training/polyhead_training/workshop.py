"""Everything that a run is made of: configuration, data, tokenizer, network, hardware."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from polyhead_server.bundle import Bundle
from polyhead_training.adjacency import adjacent_cost
from polyhead_training.assets import load_assets, manifest
from polyhead_training.checkpoint import best_weights
from polyhead_training.data import load_inputs
from polyhead_training.distributed import ALONE
from polyhead_training.encoder_origin import encoder_origin, keep_origin, kept_origin
from polyhead_training.errors import TrainingError
from polyhead_training.evaluation import Measure, measure_source
from polyhead_training.loop import Hardware
from polyhead_training.network import blank_network, build_network
from polyhead_training.pretrained import check_positions, loading
from polyhead_training.torch_engine import torch_model
from polyhead_training.warm_start import CONFIG_COPY

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from polyhead_server.bundle import Manifest
    from polyhead_server.model import Model
    from polyhead_training.assets import Assets
    from polyhead_training.config import Config
    from polyhead_training.data import SourceData
    from polyhead_training.distributed import Team
    from polyhead_training.encoder_origin import EncoderOrigin
    from polyhead_training.network import MultiTaskNetwork
    from polyhead_training.pretrain_config import PretrainConfig

ENCODER_FOLDER = "encoder"
"""Part of a run directory with the encoder's configuration and tokenizer."""

EVALUATION_TOKENS = 512

SPLITS = ("dev", "test")
"""The parts of data that are measured."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Everything that a run is made of, read and built."""

    config: Config
    data: Mapping[str, SourceData]
    assets: Assets
    network: MultiTaskNetwork
    hardware: Hardware
    origin: EncoderOrigin
    """What the network began from."""

    def model(self) -> Model:
        """The network, in its present state, as a model that annotates."""
        bundle = Bundle(self.config.path, self.manifest(served=False))
        return torch_model(
            self.network,
            bundle,
            self.assets.encoder(),
            self.hardware.device,
            bf16=self.hardware.bf16,
        )

    def manifest(self, *, served: bool = True) -> Manifest:
        """The manifest of the bundle to be; `served` leaves out the auxiliary heads."""
        width = self.network.encoder.hidden_size
        return manifest(self.config, self.assets, self.origin.model, width, served=served)

    def keep(self, folder: Path) -> None:
        """Write into a run directory what it takes, besides weights, to build the network again."""
        self.network.encoder.transformer.config.save_pretrained(folder / ENCODER_FOLDER)
        self.assets.tokenizer.save_pretrained(folder / ENCODER_FOLDER)
        keep_origin(self.origin, folder / ENCODER_FOLDER)
        copy = folder / CONFIG_COPY
        copy.write_text(self.config.path.read_text(encoding="utf-8"), encoding="utf-8")


def open_workshop(
    config_path: Path, data: Path, encoder: str | None, team: Team = ALONE
) -> Workshop:
    """Read configuration and data, then build the network.

    Args:
        config_path: the configuration.
        data: directory that its files are relative to.
        encoder: hub id or path in place of the configured one.
        team: the processes that will train the network together.

    Raises:
        InputError: everything that is wrong with configuration and data.
        TrainingError: the encoder is not to be had.
    """
    config, sources = load_inputs(config_path, data)
    hardware = replace(choose_hardware(config), team=team)
    name = encoder or config.encoder.model
    with loading(config.path, name):
        assets = load_assets(config, name)
        network = build_network(config, name).to(hardware.device)
    check_positions(config.path, config.encoder.max_tokens, network.encoder)
    _set_adjacency(config, sources, network)
    origin = encoder_origin(config.encoder, encoder)
    return Workshop(config, sources, assets, network, hardware, origin)


def _set_adjacency(
    config: Config, data: Mapping[str, SourceData], network: MultiTaskNetwork
) -> None:
    """Tell each spans head how seldom its training data have spans side by side."""
    for head in config.heads:
        if head.kind == "spans":
            parts = [
                data[source.name].train for source in config.sources if source.head == head.name
            ]
            cost = adjacent_cost(example.target for part in parts for example in part)
            network.heads[head.name].get_buffer("adjacent").fill_(cost)


def choose_hardware(config: Config | PretrainConfig) -> Hardware:
    """CUDA where there is one; bf16 where the hardware computes with it."""
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wanted = config.training.precision
    able = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bf16()
    return Hardware(device, bf16=wanted == "bf16" or (wanted == "auto" and able))


def _cpu_has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001 - no public name


def reopen_workshop(config: Config, data: Mapping[str, SourceData], folder: Path) -> Workshop:
    """Build the trained network of a run directory, without the pretrained weights.

    Raises:
        TrainingError: the directory holds no weights of such a run.
    """
    try:
        assets = load_assets(config, str(folder / ENCODER_FOLDER))
        network = blank_network(config, folder / ENCODER_FOLDER)
        network.load_state_dict(best_weights(folder))
    except (OSError, ValueError, RuntimeError, TrainingError) as error:
        raise TrainingError(f"{folder} holds no weights of a run of this configuration") from error
    hardware = choose_hardware(config)
    origin = kept_origin(config.encoder, folder / ENCODER_FOLDER)
    return Workshop(config, data, assets, network.to(hardware.device), hardware, origin)


def measure(
    model: Model, config: Config, data: Mapping[str, SourceData], split: str, *, raw: bool
) -> list[Measure]:
    """Figures of every source that has the part and whose head the model has."""
    heads = {head.name for head in model.bundle.heads}
    found: list[Measure] = []
    for source in config.sources:
        examples = getattr(data[source.name], split)
        if examples and source.head in heads:
            found += measure_source(
                model, source, split, examples, raw=raw, batch_tokens=EVALUATION_TOKENS
            )
    return found


def measure_parts(model: Model, config: Config, data: Mapping[str, SourceData]) -> list[Measure]:
    """All figures on dev and test data, from raw text where there is some, too."""
    return [m for split in SPLITS for m in measure(model, config, data, split, raw=True)]
