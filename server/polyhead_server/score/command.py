"""The command `polyhead-server score`."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server.cpus import usable_cpus
from polyhead_server.errors import SettingsError, StartError
from polyhead_server.extras import needs_extra
from polyhead_server.score.order import BATCH_TOKENS, FRAGMENT_ROWS, MOST_CHARS, Fields, Order
from polyhead_server.signals import raised_by_signals

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Sequence

    from polyhead_server.score.fragments import Fragment
    from polyhead_server.score.journal import Done
    from polyhead_server.score.run import Totals

_INTERRUPTED = 130


def add_score(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `polyhead-server`."""
    parser = commands.add_parser(
        "score",
        help="annotate Parquet or JSON lines of any size without a server, by many processes",
        description="Annotates files with a bundle, by a pool of processes under Ray on this "
        "machine or on a cluster. Each row is in the output or among the errors, exactly once; a "
        "run that was stopped or killed goes on where it was when the same command is given.",
        allow_abbrev=False,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of the bundle")
    parser.add_argument(
        "--input",
        type=Path,
        nargs="+",
        required=True,
        metavar="PATH",
        help="files, or folders with files, that end in .parquet, .jsonl, .ndjson, also with .gz",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder for the results"
    )
    _add_fields(parser)
    _add_processes(parser)
    parser.set_defaults(command=_score)


def _add_fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tasks", nargs="+", default=[], metavar="TASK", help="tasks to run; all if not given"
    )
    parser.add_argument("--text", default="text", metavar="FIELD", help="column with the text")
    parser.add_argument(
        "--words",
        default="",
        metavar="FIELD",
        help="column with lists of words, to take in place of the text",
    )
    parser.add_argument(
        "--column", default="predictions", metavar="NAME", help="column for the results"
    )
    _add_number(
        parser, "--max-text-chars", MOST_CHARS, "code points of a text; longer ones are bad"
    )
    _add_number(parser, "--batch-tokens", BATCH_TOKENS, "tokens in one batch of the encoder")
    _add_number(parser, "--fragment-rows", FRAGMENT_ROWS, "rows that are begun and kept as a whole")


def _add_processes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--local", action="store_true", help="score in this process alone, without Ray"
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="Ray cluster to score on; its nodes see bundle, input and output at the same paths. "
        "One on this machine, for this run alone, if not given",
    )
    _add_number(parser, "--actors", 0, "processes of the pool; 0 for one for each of its threads")
    _add_number(parser, "--threads", 0, "of each engine; 0 for 1, and with --local for all")
    parser.add_argument(
        "--bundle-key",
        type=Path,
        metavar="PEM",
        help="Ed25519 public key that the bundle must be signed with, on every node",
    )


def _add_number(parser: argparse.ArgumentParser, flag: str, default: int, text: str) -> None:
    least = min(default, 1)

    def number(raw: str) -> int:
        value = int(raw)
        if value < least:
            raise ValueError(raw)
        return value

    parser.add_argument(
        flag, type=number, default=default, metavar="N", help=f"{text}; {default} if not given"
    )


def _score(parsed: argparse.Namespace) -> int:
    from polyhead_server.score.fragments import find_files  # noqa: PLC0415
    from polyhead_server.score.run import identity_and_tasks, run  # noqa: PLC0415 - slow to import

    if parsed.local and (parsed.address or parsed.actors):
        raise SettingsError(["--local: goes neither with --address nor with --actors"])
    try:
        files = find_files(parsed.input, parsed.output.resolve())
        _ensure_pyarrow(files)
        identity, tasks = identity_and_tasks(parsed.bundle, parsed.tasks, parsed.bundle_key)
        with raised_by_signals(KeyboardInterrupt, signal.SIGINT, signal.SIGTERM):
            totals = run(
                _order(parsed, identity, tasks),
                files,
                parsed.fragment_rows,
                lambda order, left: _finished(parsed, order, left),
            )
    except KeyboardInterrupt:
        return _tell_how_to_go_on()
    except OSError as error:
        raise StartError(f"{error.filename or parsed.output}: {error.strerror or error}") from None
    _tell(totals, parsed.output)
    return 0


def _order(parsed: argparse.Namespace, identity: str, tasks: tuple[str, ...]) -> Order:
    return Order(
        bundle=parsed.bundle.resolve(),
        identity=identity,
        tasks=tasks,
        output=parsed.output.resolve(),
        fields=Fields(parsed.text, parsed.words, parsed.column, parsed.max_text_chars),
        key=parsed.bundle_key and parsed.bundle_key.resolve(),
        batch_tokens=parsed.batch_tokens,
    )


def _finished(
    parsed: argparse.Namespace, order: Order, left: Sequence[Fragment]
) -> Generator[Done, None, None]:
    if parsed.local:
        from polyhead_server.score.alone import score_alone  # noqa: PLC0415 - slow to import

        return score_alone(order, left, parsed.threads or usable_cpus())
    from polyhead_server.score.cluster import Pool, score_on_cluster  # noqa: PLC0415

    pool = Pool(parsed.address, parsed.actors, parsed.threads or 1)
    return score_on_cluster(order, left, pool)


def _ensure_pyarrow(files: Sequence[Path]) -> None:
    if any(file.name.lower().endswith(".parquet") for file in files):
        with needs_extra("score", "Parquet needs"):
            import pyarrow.parquet  # noqa: F401, PLC0415


def _tell_how_to_go_on() -> int:
    again = shlex.join(["polyhead-server", *sys.argv[1:]])
    sys.stderr.write(f"stopped; finished fragments are kept, and nothing else. To go on: {again}\n")
    return _INTERRUPTED


def _tell(totals: Totals, output: Path) -> None:
    bad = f"; {totals.errors:,} bad rows are in {output}/_errors.jsonl" if totals.errors else ""
    sys.stdout.write(
        f"{totals.scored:,} rows of {totals.files:,} files scored into {output}{bad}\n"
    )
