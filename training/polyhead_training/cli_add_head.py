"""The commands ``polyhead-train add-head`` and ``remove-head``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_training.cli_arguments import add_bundle, place

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS = ("classification", "tagging", "spans")
_FORMATS = ("jsonl", "csv", "conll", "conllu")
_POOLINGS = ("mean", "first", "max", "last")
_LARGEST_SEED = 2**32 - 1


def add_add_head(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``add-head``."""
    parser = commands.add_parser(
        "add-head",
        help="train one more head on the features of a finished bundle",
        description=(
            "Train a head on the features of the encoder that serves the bundle. The encoder and "
            "the other heads stay as they are, to the last bit, and the bundle serves at once. "
            "Without --dev and --test, texts of --data are set aside to choose and to measure by."
        ),
    )
    add_bundle(parser)
    parser.add_argument("--name", required=True, help="name of the task")
    parser.add_argument("--kind", required=True, choices=_KINDS)
    _add_data(parser)
    parser.add_argument(
        "--out", type=place, metavar="BUNDLE", help="new bundle (default: change BUNDLE itself)"
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace the head of that name, if there is one"
    )
    parser.add_argument(
        "--version", default="", metavar="TEXT", help="version of the new bundle (default: keep it)"
    )
    parser.add_argument("--licence", default="", metavar="TEXT", help="licence of the data")
    _add_training(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_add_head, after_stop="; the bundle is as it was")


def add_remove_head(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``remove-head``."""
    parser = commands.add_parser(
        "remove-head",
        help="take a head out of a bundle",
        description="Take a head out of a bundle. The others stay as they are, to the last bit.",
    )
    add_bundle(parser)
    parser.add_argument("--name", required=True, help="name of the task")
    parser.add_argument(
        "--out", type=place, metavar="BUNDLE", help="new bundle (default: change BUNDLE itself)"
    )
    parser.set_defaults(run=_remove_head)


def _add_data(parser: argparse.ArgumentParser) -> None:
    for name, use, required in (
        ("data", "labelled texts to train on", True),
        ("dev", "texts to choose and calibrate by (default: some of --data)", False),
        ("test", "texts to measure on (default: some of --data)", False),
    ):
        parser.add_argument(
            f"--{name}", type=Path, required=required, metavar="FILE", help=f"{use}; .gz allowed"
        )
    parser.add_argument(
        "--format", choices=_FORMATS, help="layout of the files (default: by their endings)"
    )
    parser.add_argument(
        "--labels",
        type=_labels,
        default=(),
        metavar="A,B,...",
        help="the labels in order, others are errors (default: those of the data)",
    )
    for name, default in (("text", "text"), ("label", "label"), ("words", ""), ("tags", "tags")):
        parser.add_argument(
            f"--{name}-field",
            default=default,
            metavar="FIELD",
            help=f"field or column with the {name}"
            + (f" (default: {default})" if default else " as a list, in place of the text"),
        )
    parser.add_argument(
        "--column",
        type=_column,
        default="",
        metavar="N|upos|xpos",
        help="column of the tag: its index in CoNLL files (default: the last), a name in CoNLL-U",
    )
    parser.add_argument(
        "--delimiter", default="", metavar="CHAR", help="what stands between columns of CSV"
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hidden",
        type=_up_to(8192),
        default=0,
        metavar="N",
        help="width of a tanh layer before the output (default: 0, none)",
    )
    parser.add_argument(
        "--pooling",
        choices=_POOLINGS,
        default="mean",
        help="how a classification head sums a text up (default: mean)",
    )
    parser.add_argument(
        "--passes",
        type=_up_to(10_000),
        default=0,
        metavar="N",
        help="passes over the training texts at most (default: 50, with a hidden layer 20)",
    )
    parser.add_argument("--seed", type=_up_to(_LARGEST_SEED), default=0, metavar="N")
    parser.add_argument(
        "--threads",
        type=_up_to(1024),
        default=0,
        metavar="N",
        help="inference threads (default: all)",
    )
    parser.add_argument(
        "--no-calibration", action="store_true", help="leave the scores as they come"
    )


def _add_head(options: argparse.Namespace) -> None:
    from polyhead_training.add_head import add_head  # noqa: PLC0415 - loads the engine
    from polyhead_training.add_head_figures import facts_of, print_head  # noqa: PLC0415
    from polyhead_training.add_head_order import DataOptions, HeadOrder  # noqa: PLC0415
    from polyhead_training.console import open_console  # noqa: PLC0415

    reading = DataOptions(
        options.format,
        options.text_field,
        options.label_field,
        options.words_field,
        options.tags_field,
        options.column,
        options.delimiter,
    )
    added = add_head(
        HeadOrder(
            bundle=options.bundle,
            name=options.name,
            kind=options.kind,
            data=options.data,
            dev=options.dev,
            test=options.test,
            out=options.out,
            labels=options.labels,
            reading=reading,
            hidden=options.hidden,
            pooling=options.pooling,
            passes=options.passes,
            seed=options.seed,
            licence=options.licence,
            version=options.version,
            replace=options.replace,
            calibrate=not options.no_calibration,
            threads=options.threads,
        )
    )
    if options.json:
        print(json.dumps(facts_of(added)))  # noqa: T201 - what was asked for
    else:
        print_head(open_console(), added)


def _remove_head(options: argparse.Namespace) -> None:
    from polyhead_training.add_head import remove_head  # noqa: PLC0415 - loads the engine
    from polyhead_training.console import open_console  # noqa: PLC0415

    remove_head(options.bundle, options.name, options.out)
    place = options.out or options.bundle
    open_console().print(f"bundle: {place}", soft_wrap=True, markup=False)


def _labels(value: str) -> tuple[str, ...]:
    labels = tuple(item.strip() for item in value.split(","))
    if not all(labels):
        raise argparse.ArgumentTypeError("must be labels with commas between")
    return labels


def _column(value: str) -> str | int:
    if value in {"", "upos", "xpos"}:  # argparse reads the default, too
        return value
    try:
        return int(value)
    except ValueError:
        raise argparse.ArgumentTypeError("must be an index, upos or xpos") from None


def _up_to(most: int) -> Callable[[str], int]:
    """Reads whole numbers from 0 to a largest one."""

    def read(value: str) -> int:
        if not value.isdecimal() or int(value) > most:
            raise argparse.ArgumentTypeError(f"must be a whole number from 0 to {most}")
        return int(value)

    return read
