"""A tiny encoder, toy data, and one bundle trained on them by the real command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tiny_encoder import write_tiny_encoder
from toy_data import toy_config, write_toy_data

from polyhead_training.cli import main
from polyhead_training.workshop import open_workshop

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Toy:
    """What the command trained, and what it was given."""

    encoder: Path
    data: Path
    config: Path
    bundle: Path
    run: Path

    def fit(self, out: Path, *more: str) -> list[str]:
        """Arguments that train the same into another directory."""
        paths = ["fit", str(self.config), "--data", str(self.data), "--out", str(out)]
        return [*paths, "--encoder", str(self.encoder), *more]


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def toy(tmp_path_factory, tiny_encoder, toy_data):
    root = tmp_path_factory.mktemp("toy")
    config = root / "toy.toml"
    config.write_text(toy_config(), encoding="utf-8")
    bundle = root / "bundle"
    toy = Toy(tiny_encoder, toy_data, config, bundle, root / "bundle.run")
    assert main(toy.fit(bundle)) == 0
    return toy


@pytest.fixture
def open_shop(tmp_path, tiny_encoder, toy_data):
    """Opens a workshop of a config's text."""

    def opened(text: str):
        file = tmp_path / "config.toml"
        file.write_text(text, encoding="utf-8")
        return open_workshop(file, toy_data, str(tiny_encoder))

    return opened
