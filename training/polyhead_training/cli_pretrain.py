"""The subcommand ``pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_training.cli_arguments import add_data, add_run, place

if TYPE_CHECKING:
    import argparse


def add_pretrain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "pretrain",
        help="train an encoder on raw text",
        description=(
            "Train an encoder on raw text without labels, as CONFIG says: masked words for BERT "
            "and its kin, the next word for GPT-2 and AWD-LSTM, both neighbours for ELMo. The "
            "result is a directory that fit takes by --encoder. A run that was stopped or killed "
            "goes on from its last checkpoint, to the same result, when the command is given again."
        ),
    )
    parser.add_argument(
        "config", type=Path, metavar="CONFIG", help="pre-training configuration, TOML"
    )
    add_data(parser)
    parser.add_argument("--out", type=place, required=True, help="directory of the new encoder")
    add_run(parser)
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="hub id or directory of the encoder to go on with, or awd-lstm or elmo for a new "
        "recurrent one, in place of the configured one",
    )
    parser.set_defaults(
        run=_pretrain, after_stop="; the same command goes on from the last checkpoint"
    )


def _pretrain(options: argparse.Namespace) -> None:
    from polyhead_training.pretrain import pretrain  # noqa: PLC0415 - the command line stays quick

    pretrain(
        options.config,
        options.data,
        options.out,
        folder=options.folder,
        encoder=options.encoder,
        fresh=options.fresh,
    )
