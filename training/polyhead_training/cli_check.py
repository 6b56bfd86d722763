"""The subcommand ``check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_training.cli_arguments import add_config, add_data

if TYPE_CHECKING:
    import argparse


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "check",
        help="report every error of a configuration and its data, and train nothing",
        description=(
            "Report every error of a configuration and its data with file and line. Where there is "
            "none, print what each data set is made of, which labels are missing or rare, and "
            "which training examples dev or test data of any head have too."
        ),
    )
    add_config(parser)
    add_data(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--show-text",
        action="store_true",
        help="print the texts that training and measured data share, not only their places",
    )
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> None:
    from polyhead_training.check import check  # noqa: PLC0415 - the command line stays quick

    check(options.config, options.data, as_json=options.json, show_text=options.show_text)
