"""The command ``polyhead-train report``."""

from __future__ import annotations

import argparse
from pathlib import Path

from polyhead_training.cli_arguments import add_bundle, add_data, place


def add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        help="one HTML page about a bundle: figures, curves, errors, calibration",
        description=(
            "Measure a bundle, with the engine that serves it, and write one self-contained HTML "
            "page: figures with intervals, learning curves, confusion, figures by label, the most "
            "certain errors, calibration, gaps to single-task bundles and to torch, data and "
            "provenance. The page shows texts of the data unless --no-text is given."
        ),
    )
    add_bundle(parser)
    add_data(parser)
    parser.add_argument(
        "--config",
        type=Path,
        help="measure on the sources of this configuration (default: the bundle's own)",
    )
    parser.add_argument(
        "--run",
        type=place,
        dest="folder",
        metavar="DIR",
        help="run directory with the history (default: BUNDLE with .run added, if there)",
    )
    parser.add_argument(
        "--single",
        type=_single,
        action="append",
        default=[],
        metavar="NAME=BUNDLE_OR_RUN",
        help="single-task bundle, or run directory, to compare with; may be given several times",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="page to write (default: report.html)",
    )
    parser.add_argument("--no-text", action="store_true", help="show no text of the data")
    parser.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> None:
    from polyhead_training.report import Wishes, report  # noqa: PLC0415 - loads the engine

    wishes = Wishes(
        config=options.config,
        run=options.folder,
        singles=tuple(options.single),
        texts=not options.no_text,
    )
    report(options.bundle, options.data, options.out, wishes)


def _single(value: str) -> tuple[str, Path]:
    name, sign, path = value.partition("=")
    if not (name and sign and path):
        raise argparse.ArgumentTypeError(f"must be NAME=BUNDLE_OR_RUN, not {value}")
    return name, place(path)
