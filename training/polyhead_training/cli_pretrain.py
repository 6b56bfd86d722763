"""The subcommand ``pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="directory that the configuration's file names are relative to",
    )
    parser.add_argument("--out", type=Path, required=True, help="directory of the new encoder")
    parser.add_argument(
        "--run",
        type=Path,
        dest="folder",
        metavar="DIR",
        help="where checkpoints and history go (default: OUT with .run added)",
    )
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="hub id or directory of the encoder to go on with, or awd-lstm or elmo for a new "
        "recurrent one, in place of the configured one",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start anew where there is a checkpoint"
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
