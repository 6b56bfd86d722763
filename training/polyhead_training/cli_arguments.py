"""Arguments that several subcommands take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_config(parser: argparse.ArgumentParser) -> None:
    """A training configuration, as ``config``."""
    parser.add_argument("config", type=Path, metavar="CONFIG", help="training configuration, TOML")


def add_data(parser: argparse.ArgumentParser) -> None:
    """The directory of data files, as ``data``."""
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory that the configuration's file names are relative to",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Where a run is kept, and whether to begin anew there, as ``folder`` and ``fresh``."""
    parser.add_argument(
        "--run",
        type=Path,
        dest="folder",
        metavar="DIR",
        help="where checkpoints and history go (default: OUT with .run added)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start anew where there is a checkpoint"
    )


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """A bundle, as ``bundle``."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="directory of the bundle")
