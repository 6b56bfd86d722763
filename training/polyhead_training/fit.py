"""``polyhead-train fit``: from a configuration and data to a bundle that serves."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from polyhead_server.bundle import Bundle

from polyhead_training.assets import load_assets, manifest
from polyhead_training.batches import source_of
from polyhead_training.checkpoint import checkpoint_fingerprint
from polyhead_training.data import load_inputs
from polyhead_training.errors import TrainingError
from polyhead_training.evaluation import Measure, measure_source
from polyhead_training.network import build_network
from polyhead_training.plan import Course, make_plan
from polyhead_training.run import Hardware, TrainingRun
from polyhead_training.torch_engine import torch_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from polyhead_server.model import Model

    from polyhead_training.assets import Assets
    from polyhead_training.config import Config
    from polyhead_training.data import SourceData
    from polyhead_training.network import MultiTaskNetwork
    from polyhead_training.plan import Step
    from polyhead_training.run import Watcher

EVALUATION_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Workshop:
    """Everything that a run is made of, read and built."""

    config: Config
    data: Mapping[str, SourceData]
    assets: Assets
    network: MultiTaskNetwork
    hardware: Hardware

    def model(self) -> Model:
        """The network, in its present state, as a model that annotates."""
        width = self.network.encoder.hidden_size
        bundle = Bundle(self.config.path, manifest(self.config, self.assets, width, served=False))
        return torch_model(
            self.network,
            bundle,
            self.assets.encoder(),
            self.hardware.device,
            bf16=self.hardware.bf16,
        )

    def measure(self, model: Model, split: str, *, raw: bool) -> list[Measure]:
        """Figures of every source that has the part and whose head the model has."""
        heads = {head.name for head in model.bundle.heads}
        found: list[Measure] = []
        for source in self.config.sources:
            examples = getattr(self.data[source.name], split)
            if examples and source.head in heads:
                found += measure_source(
                    model, source, split, examples, raw=raw, batch_tokens=EVALUATION_TOKENS
                )
        return found


def open_workshop(config_path: Path, data: Path, encoder: str | None) -> Workshop:
    """Read configuration and data, then build the network.

    Args:
        config_path: the configuration.
        data: directory that its files are relative to.
        encoder: hub id or path in place of the configured one.

    Raises:
        InputError: everything that is wrong with configuration and data.
        TrainingError: the encoder is not to be had.
    """
    config, sources = load_inputs(config_path, data)
    hardware = choose_hardware(config)
    name = encoder or config.encoder.model
    try:
        assets = load_assets(config, name)
        network = build_network(config, name).to(hardware.device)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"the encoder {name!r} cannot be loaded ({type(error).__name__}): give a hub id that "
            "can be reached, or a directory with its files, by --encoder"
        ) from error
    return Workshop(config, sources, assets, network, hardware)


def choose_hardware(config: Config) -> Hardware:
    """CUDA where there is one; bf16 where the hardware computes with it."""
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wanted = config.training.precision
    able = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bf16()
    return Hardware(device, bf16=wanted == "bf16" or (wanted == "auto" and able))


def _cpu_has_bf16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001 - no public name


def train(shop: Workshop, folder: Path, watcher: Watcher) -> TrainingRun:
    """Train, or go on training, in a run folder.

    Raises:
        TrainingError: the folder holds a run of another configuration, data or encoder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = fingerprint(shop)
    run = TrainingRun(
        shop.config,
        shop.network,
        shop.assets.encoder(),
        train=[shop.data[source.name].train for source in shop.config.sources],
        plan=_plan(shop),
        validate=lambda: shop.measure(shop.model(), "dev", raw=False),
        hardware=shop.hardware,
        folder=folder,
        fingerprint=mark,
        watcher=watcher,
    )
    found = checkpoint_fingerprint(folder)
    if found == mark:
        run.resume()
    elif found is not None:
        raise TrainingError(
            f"{folder} holds a run of another configuration, data or encoder: "
            "remove it, or start anew with --fresh"
        )
    run.train()
    return run


def _plan(shop: Workshop) -> list[Step]:
    encoder = shop.assets.encoder()
    courses = []
    for source in shop.config.sources:
        examples = shop.data[source.name].train
        lengths = [encoder.encode(source_of(example)).tokens for example in examples]
        courses.append(Course(source, [example.group for example in examples], lengths))
    return make_plan(courses, shop.config.training.batch_tokens, shop.config.seed)


def fingerprint(shop: Workshop) -> str:
    """Names what decides a run's result: configuration, training data and pretrained weights."""
    digest = hashlib.sha256(shop.config.path.read_bytes())
    for name, source in sorted(shop.data.items()):
        digest.update(name.encode())
        for example in source.train:
            digest.update(repr((example.text, example.words, example.target)).encode())
    digest.update(shop.assets.tokenizer_json.encode())
    digest.update(json.dumps(shop.assets.lexicon, sort_keys=True).encode())
    for value in shop.network.state_dict().values():
        digest.update(value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def discard(folder: Path) -> None:
    """Remove a run folder, if there is one."""
    if folder.exists():
        shutil.rmtree(folder)
