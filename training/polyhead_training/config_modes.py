"""The keys of a config that choose a way of transfer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast, get_args

from polyhead_training.config_types import (
    OptimiserKind,
    SamplingKind,
    TrainMode,
)

if TYPE_CHECKING:
    from polyhead_training.config_reader import Table
    from polyhead_training.config_types import EncoderConfig, TrainingConfig

_MOST_LAYERS = 100


def with_encoder_modes(table: Table, config: EncoderConfig) -> EncoderConfig:
    """The encoder's options with those of the ways of transfer, noting every problem."""
    changed = replace(
        config,
        train=cast("TrainMode", table.choice("train", config.train, get_args(TrainMode))),
        unfrozen_by=table.number("unfrozen_by", config.unfrozen_by, 0.01, 0.99),
        adapter_rank=table.integer("adapter_rank", config.adapter_rank, 1, 1024),
        adapter_alpha=table.number("adapter_alpha", config.adapter_alpha, 0.001, 10_000),
        mix=table.flag("mix", default=config.mix),
        layers=_layers(table, config.layers),
        add_layers=table.integer("add_layers", config.add_layers, 0, _MOST_LAYERS),
        attention_dropout=table.number("attention_dropout", config.attention_dropout, 0, 0.9),
    )
    _only_with(table, "unfrozen_by", "train", changed.train, ("gradual",))
    _only_with(table, "adapter_rank", "train", changed.train, ("adapters",))
    _only_with(table, "adapter_alpha", "train", changed.train, ("adapters",))
    return changed


def with_training_modes(table: Table, config: TrainingConfig) -> TrainingConfig:
    """The options of training with those of the ways of transfer, noting every problem."""
    changed = replace(
        config,
        optimiser=cast(
            "OptimiserKind", table.choice("optimiser", config.optimiser, get_args(OptimiserKind))
        ),
        sampling=cast(
            "SamplingKind", table.choice("sampling", config.sampling, get_args(SamplingKind))
        ),
        sampling_temperature=table.number(
            "sampling_temperature", config.sampling_temperature, 1, 1000
        ),
        consistency=table.number("consistency", config.consistency, 0, 1000),
    )
    flat = ("temperature", "annealed")
    _only_with(table, "sampling_temperature", "sampling", changed.sampling, flat)
    return changed


def _only_with(table: Table, key: str, other: str, value: str, wanted: tuple[str, ...]) -> None:
    """Note a key that would have no effect."""
    if key in table and other not in table.bad and value not in wanted:
        modes = " or ".join(f'"{mode}"' for mode in wanted)
        table.problem(f'{key} is for {other} = {modes}, not "{value}"', key)


def _layers(table: Table, default: int | tuple[int, ...]) -> int | tuple[int, ...]:
    """A number of layers to keep from the bottom, or the list of their numbers."""
    value = table.raw("layers") if "layers" in table else default
    if not isinstance(value, list):
        return table.integer("layers", 0, 0, _MOST_LAYERS)
    whole = all(type(number) is int and 0 <= number < _MOST_LAYERS for number in value)
    if whole and value and value == sorted(set(value)):
        return tuple(value)
    message = "layers must be a number of layers, or a list of rising layer numbers from 0"
    table.problem(f"{message}, not {value}", "layers")
    return default
