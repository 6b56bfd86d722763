"""The command ``polyhead-train export-transformers``."""

from __future__ import annotations

import argparse
from pathlib import Path

from polyhead_training.cli_arguments import place


def add_export_transformers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "export-transformers",
        help="leave with one head as an ordinary transformers checkpoint",
        description=(
            "Write the encoder and one head as a checkpoint that transformers' pipeline loads, "
            "without code of polyhead's. What the standard class has a place for is taken over "
            "exactly; for the rest (letter-case shapes, mean pooling, ...) the command refuses, or "
            "with --fit lets the standard model learn the run's answers to the training texts. "
            "With --data it tells how far both agree on texts that were not learned from."
        ),
    )
    parser.add_argument(
        "place",
        type=place,
        metavar="RUN",
        help="run directory, or a bundle with its run directory (BUNDLE.run) beside it",
    )
    parser.add_argument("--head", required=True, metavar="NAME", help="the head to leave with")
    parser.add_argument("--out", type=place, required=True, help="directory of the checkpoint")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="directory that the run's data files are relative to; to compare, and for --fit",
    )
    _add_fit(parser)
    parser.set_defaults(run=_run, parser=parser)


def _add_fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fit", action="store_true", help="convert by a short distillation where it is needed"
    )
    parser.add_argument(
        "--epochs", type=_epochs, metavar="N", help="times through the texts (default: 3)"
    )
    parser.add_argument(
        "--texts", type=_texts, metavar="N", help="training texts, 0 for all (default: 20000)"
    )
    parser.add_argument(
        "--learning-rate", type=_rate, metavar="R", help="peak rate of the encoder (default: 5e-5)"
    )


def _run(options: argparse.Namespace) -> None:
    given = {
        "epochs": options.epochs,
        "most_texts": options.texts,
        "learning_rate": options.learning_rate,
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    if chosen and not options.fit:
        options.parser.error("--epochs, --texts and --learning-rate go with --fit")
    from polyhead_training.transformers_export import (  # noqa: PLC0415 - loads torch
        Order,
        export_transformers,
    )
    from polyhead_training.transformers_fit import FitOptions  # noqa: PLC0415

    fit = FitOptions(**chosen) if options.fit else None
    export_transformers(Order(options.place, options.head, options.out, options.data, fit))


def _epochs(value: str) -> int:
    return int(_within(value, 1, 1000))


def _texts(value: str) -> int:
    return int(_within(value, 0, 10**9))


def _rate(value: str) -> float:
    return _within(value, 1e-8, 1)


def _within(value: str, least: float, most: float) -> float:
    number = float(value)
    if not least <= number <= most:
        raise argparse.ArgumentTypeError(f"must be from {least:g} to {most:g}")
    return number
