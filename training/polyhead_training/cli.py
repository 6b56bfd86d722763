"""The command ``polyhead-train``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_training.cli_add_head import add_add_head, add_remove_head
from polyhead_training.cli_arguments import add_bundle, add_config, add_data, add_run, place
from polyhead_training.cli_check import add_check
from polyhead_training.cli_compare import add_compare
from polyhead_training.cli_export_transformers import add_export_transformers
from polyhead_training.cli_predict import add_predict
from polyhead_training.cli_pretrain import add_pretrain
from polyhead_training.cli_report import add_report
from polyhead_training.errors import StoppedError, TrainingError
from polyhead_training.problems import InputError
from polyhead_training.termination import Terminated, terminable

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE_ERROR = 2
INTERRUPTED = 130
TERMINATED = 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code.

    0: done. 2: something in the arguments, configuration or data has to be mended first.
    """
    options = build_parser().parse_args(arguments)
    try:
        with terminable():
            options.run(options)
    except (InputError, TrainingError) as error:
        if not isinstance(error, StoppedError):
            sys.stderr.write(f"{error}\n")
        return USAGE_ERROR
    except OSError as error:
        place = "" if error.filename is None else f"{error.filename}: "
        sys.stderr.write(f"{place}{error.strerror or error}\n")
        return USAGE_ERROR
    except KeyboardInterrupt as stop:
        if os.environ.get("RANK", "0") == "0":  # torchrun stops every process
            sys.stderr.write(f"stopped{options.after_stop}\n")
        return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="polyhead-train",
        description="Fine-tune one text encoder on many tasks and export it for polyhead-server.",
    )
    parser.set_defaults(after_stop="")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fit(commands)
    _add_average(commands)
    _add_evaluate(commands)
    add_check(commands)
    add_predict(commands)
    add_compare(commands)
    add_report(commands)
    add_pretrain(commands)
    add_export_transformers(commands)
    add_add_head(commands)
    add_remove_head(commands)
    return parser


def _add_fit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "fit",
        help="train, export and measure a bundle",
        description=(
            "Train all heads jointly as CONFIG says, export the best weights as a bundle, compare "
            "the served bundle with torch, and measure it. A run that was stopped or killed goes "
            "on from its last checkpoint, to the same result, when the command is given again."
        ),
    )
    add_config(parser)
    add_data(parser)
    _add_out(parser)
    add_run(parser)
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="hub id or directory of the pretrained encoder, in place of the configured one",
    )
    parser.add_argument(
        "--start",
        type=place,
        metavar="RUN",
        help="start from the best weights of an earlier run (its run directory): a further stage",
    )
    parser.add_argument(
        "--teacher",
        type=place,
        action="append",
        default=[],
        dest="teachers",
        metavar="RUN",
        help="learn a trained run's answers beside the labels; may be given several times",
    )
    parser.add_argument(
        "--no-export",
        action="store_false",
        dest="export",
        help="measure in torch only, and write no bundle: for encoders that cannot be served",
    )
    parser.set_defaults(run=_fit, after_stop="; the same command goes on from the last checkpoint")


def _add_average(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "average",
        help="export and measure the mean of several runs",
        description=(
            "Average the best weights of runs that started from the same pretrained encoder and "
            "have the same heads, then export, compare and measure the mean as a bundle."
        ),
    )
    parser.add_argument(
        "runs",
        type=place,
        nargs="+",
        metavar="RUN",
        help="run directories; the first one's configuration is the bundle's",
    )
    add_data(parser)
    _add_out(parser)
    parser.set_defaults(run=_average)


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        type=place,
        required=True,
        help="directory of the new bundle; a bundle there is replaced",
    )


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a bundle beside torch",
        description=(
            "Measure a bundle, with the engine that serves it, on the data of its own training "
            "configuration or of another. The torch figures come from the run's weights where "
            "they are at hand (--run), else from the record made at export."
        ),
    )
    add_bundle(parser)
    add_data(parser)
    parser.add_argument(
        "--config", type=Path, help="measure on the sources of this configuration instead"
    )
    parser.add_argument(
        "--run",
        type=place,
        dest="folder",
        metavar="DIR",
        help="run directory with the torch weights (default: BUNDLE with .run added, if there)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_evaluate)


# torch takes seconds to import: a command is loaded when it is run, so that --help is quick.


def _fit(options: argparse.Namespace) -> None:
    from polyhead_training.commands import fit  # noqa: PLC0415
    from polyhead_training.distributed import join_team  # noqa: PLC0415

    with join_team(os.environ) as team:
        fit(
            options.config,
            options.data,
            options.out,
            folder=options.folder,
            encoder=options.encoder,
            start=options.start,
            teachers=options.teachers,
            fresh=options.fresh,
            export=options.export,
            team=team,
        )


def _average(options: argparse.Namespace) -> None:
    from polyhead_training.commands import average  # noqa: PLC0415

    average(options.runs, options.data, options.out)


def _evaluate(options: argparse.Namespace) -> None:
    from polyhead_training.commands import evaluate  # noqa: PLC0415

    evaluate(
        options.bundle,
        options.data,
        options.config,
        options.folder,
        as_json=options.json,
    )


if __name__ == "__main__":
    sys.exit(main())
