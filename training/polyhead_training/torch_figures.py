"""Figures of a trained network without a bundle: measured in torch, by the serving code."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from rich.table import Table

from polyhead_training.errors import TrainingError
from polyhead_training.workshop import measure_parts

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from polyhead_server.model import Model
    from polyhead_training.workshop import Workshop

FIGURES = "figures.json"
"""File of a run directory with the figures."""


def check_servable(shop: Workshop, advice: str) -> None:
    """Make sure that there is a bundle to export.

    Args:
        shop: configuration and network.
        advice: what to do where there is none, for the error.

    Raises:
        TrainingError: no head is exported; or the encoder is recurrent: it cannot read windows
            behind each other in one row.
    """
    if not any(head.export for head in shop.config.heads):
        raise TrainingError(f"{shop.config.path}: every head has export = false: {advice}")
    encoder = shop.network.encoder
    if not encoder.packable:
        family = encoder.transformer.config.model_type
        raise TrainingError(f"encoders of the family {family} cannot be served: {advice}")


def exact_model(shop: Workshop) -> Model:
    """A trained network as a model that computes in fp32."""
    return replace(shop, hardware=replace(shop.hardware, bf16=False)).model()


def record_torch_figures(console: Console, shop: Workshop, folder: Path) -> None:
    """Measure a network in fp32, print its figures, and write them into its run directory."""
    found = measure_parts(exact_model(shop), shop.config, shop.data)
    text = json.dumps([asdict(figure) for figure in found], indent=1)
    (folder / FIGURES).write_text(text + "\n", encoding="utf-8")
    table = Table(title="Figures in percent")
    for name in ("head", "data", "part", "measure", "texts", "torch"):
        table.add_column(name, overflow="fold")
    for figure in found:
        names = (figure.head, figure.source, figure.split, figure.metric)
        table.add_row(*names, f"{figure.count:,}", f"{100 * figure.value:.2f}")
    console.print(table)
