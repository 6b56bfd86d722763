"""The command ``polyhead-train predict``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_training.cli_arguments import add_bundle

if TYPE_CHECKING:
    from polyhead_training.predict_outputs import OutputFormat

_FORMATS = ("text", "jsonl", "csv", "tsv", "conllu", "conll")
_DEFAULT_SCORE = 0.9


def add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "predict",
        help="annotate a file with a bundle, or label it for a student",
        description=(
            "Annotate a file of any size with the engine that serves the bundle, in the input's "
            "order. Records that cannot be read are told with file and line and left out. With "
            "--pseudo-label the answers of one task become training data for fit: those only that "
            "the bundle is certain of."
        ),
    )
    add_bundle(parser)
    _add_input(parser)
    _add_output(parser)
    parser.add_argument(
        "--threads", type=_count, default=0, metavar="N", help="inference threads (default: all)"
    )
    parser.set_defaults(run=_predict, parser=parser)


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input",
        type=_place,
        required=True,
        metavar="FILE|-",
        help="file to annotate, also gzip; - for standard input",
    )
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        help="format of the input (default: by the file's ending; text, a text a line, for -)",
    )
    parser.add_argument(
        "--text", default="text", metavar="FIELD", help="field or column with the text"
    )
    parser.add_argument(
        "--words",
        default="",
        metavar="FIELD",
        help="field with a list of words to take instead of the text",
    )
    parser.add_argument(
        "--errors",
        type=Path,
        metavar="FILE",
        help="write the records that cannot be read to FILE as they are, to be mended",
    )
    parser.add_argument(
        "--skip-errors",
        action="store_true",
        help="exit with 0 although records were left out",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="tasks to run (default: all of the bundle's)",
    )
    parser.add_argument(
        "--output",
        type=_place,
        metavar="FILE|-",
        help="where to write, gzip where it ends in .gz (default: standard output)",
    )
    parser.add_argument(
        "--output-format",
        choices=("jsonl", "conll"),
        help="rows with predictions, or columns of words and tags (default: by the file's ending)",
    )
    parser.add_argument(
        "--pseudo-label", metavar="TASK", help="write the answers of TASK as training data"
    )
    parser.add_argument(
        "--min-score",
        type=_score,
        metavar="S",
        help=(
            "with --pseudo-label, keep texts whose label, or whose least certain word's tag, has "
            f"this probability (default: {_DEFAULT_SCORE})"
        ),
    )


def _predict(options: argparse.Namespace) -> None:
    _check(options)
    from polyhead_training.predict import Order, predict  # noqa: PLC0415 - loads the engine
    from polyhead_training.predict_inputs import format_of  # noqa: PLC0415
    from polyhead_training.predict_rows import FieldNames  # noqa: PLC0415

    form = options.format or format_of(options.input)
    parser: argparse.ArgumentParser = options.parser
    if form is None:
        parser.error(f"the ending of {options.input} tells no format: give --format")
    order = Order(
        bundle=options.bundle,
        input=options.input,
        form=form,
        output=options.output,
        output_form=options.output_format or _output_format(options.output),
        tasks=tuple(options.task),
        pseudo_label=options.pseudo_label or "",
        min_score=_DEFAULT_SCORE if options.min_score is None else options.min_score,
        errors=options.errors,
        skip_errors=options.skip_errors,
        threads=options.threads,
        names=FieldNames(options.text, options.words),
    )
    if options.output:
        options.after_stop = f"; what was done is in {options.output}.partial"
    try:
        predict(order)
    except BrokenPipeError:
        # The reader has enough. Whatever is still held must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _check(options: argparse.Namespace) -> None:
    if options.pseudo_label and options.task:
        options.parser.error("--pseudo-label runs its own task: leave --task out")
    if options.min_score is not None and not options.pseudo_label:
        options.parser.error("--min-score goes with --pseudo-label")


def _output_format(output: Path | None) -> OutputFormat:
    name = output.name.removesuffix(".gz") if output else ""
    return "conll" if name.endswith(".conll") else "jsonl"


def _place(value: str) -> Path | None:
    return None if value == "-" else Path(value)


def _count(value: str) -> int:
    number = int(value)
    if not 0 <= number <= 1024:  # noqa: PLR2004 - as in configurations
        raise argparse.ArgumentTypeError("must be from 0 to 1024")
    return number


def _score(value: str) -> float:
    number = float(value)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError("must be from 0 to 1")
    return number
