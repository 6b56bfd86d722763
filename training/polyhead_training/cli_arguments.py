"""Arguments that several subcommands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def place(text: str) -> Path:
    """A folder by a path that ends in its name, beside which others can be named: not . or `..`.

    Raises:
        ArgumentTypeError: it has no name.
    """
    path = Path(text)
    if path.name in {"", ".."}:
        path = path.resolve()
    if not path.name:
        raise argparse.ArgumentTypeError(f"{text} has no name")
    return path


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
        type=place,
        dest="folder",
        metavar="DIR",
        help="where checkpoints and history go (default: OUT with .run added)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start anew where there is a checkpoint"
    )


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """A bundle, as ``bundle``."""
    parser.add_argument("bundle", type=place, metavar="BUNDLE", help="directory of the bundle")
