"""The command ``polyhead-train compare``."""

from __future__ import annotations

import argparse
from pathlib import Path

from polyhead_training.cli_arguments import add_data, place

_SAMPLES = 2000
_MOST_SAMPLES = 1_000_000


def add_compare(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compare",
        help="two bundles on the same data, with significance",
        description=(
            "Measure two bundles, with the engine that serves them, on the dev and test data of a "
            "configuration, and say which differences can be chance: 95 % intervals by the paired "
            "bootstrap over texts, p-values by approximate randomisation. Heads and labels that "
            "only one of them has are left out and named."
        ),
    )
    parser.add_argument("bundle_a", type=place, metavar="BUNDLE_A", help="directory of a bundle")
    parser.add_argument("bundle_b", type=place, metavar="BUNDLE_B", help="directory of the other")
    add_data(parser)
    parser.add_argument(
        "--config",
        type=Path,
        help="measure on the sources of this configuration (default: the one A was trained with)",
    )
    parser.add_argument(
        "--samples",
        type=_samples,
        default=_SAMPLES,
        metavar="N",
        help=f"resamples of the texts (default: {_SAMPLES})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> None:
    from polyhead_training.compare import compare  # noqa: PLC0415 - loads the engine

    compare(
        options.bundle_a,
        options.bundle_b,
        options.data,
        options.config,
        samples=options.samples,
        as_json=options.json,
    )


def _samples(value: str) -> int:
    number = int(value)
    if not 1 <= number <= _MOST_SAMPLES:
        raise argparse.ArgumentTypeError(f"must be from 1 to {_MOST_SAMPLES}")
    return number
