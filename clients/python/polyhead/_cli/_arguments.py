"""What can be typed."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from polyhead import OffsetUnit, Priority
from polyhead._cli._inputs import FORMATS, JSONL, WHOLE
from polyhead._settings import DEFAULT_TARGET, DEFAULT_TIMEOUT

_EXIT_CODES = """\
exit codes:
  0  everything was done
  1  some texts failed, or the server refused
  2  the command or its input is wrong; nothing was annotated
  3  the server cannot be reached, does not answer, or is not ready

environment:
  POLYHEAD_ADDRESS  the server, where --address is not given
  POLYHEAD_TOKEN    a bearer token; needs --tls or https
  POLYHEAD_API_KEY  an API key for the gateway of --url
  NO_COLOR          no colours
"""


def parser() -> argparse.ArgumentParser:
    """Build the parser."""
    top = argparse.ArgumentParser(
        prog="polyhead",
        description="Ask a polyhead server about text.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the client's version")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    _add_annotate(commands)
    _add_tasks(commands)
    _add_health(commands)
    return top


def _add_annotate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "annotate",
        help="annotate texts, files or standard input",
        description=(
            "Annotate texts, files or standard input with the server's tasks.\n"
            "Files are text (a document in each line that is not blank), JSON lines, CSV, TSV\n"
            "or Parquet."
        ),
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "text",
        nargs="*",
        metavar="TEXT|FILE",
        help="a file that is there, or else a text; - reads standard input, as does a pipe",
    )
    command.add_argument(
        "--file", action="append", default=[], metavar="PATH", help="a file; may be repeated"
    )
    _add_format(command)
    _add_output(command)
    command.add_argument(
        "--tasks",
        type=_names,
        metavar="A,B",
        help="the tasks, by name (see: polyhead tasks); default: all",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object per document")
    command.add_argument(
        "--offset-unit",
        choices=[str(unit) for unit in OffsetUnit],
        default=str(OffsetUnit.CODE_POINT),
        help="the unit of offsets (default: %(default)s)",
    )
    command.add_argument(
        "--priority",
        choices=[str(priority) for priority in Priority],
        help="how urgent it is (default: interactive for texts, bulk for files)",
    )
    _add_connection(command)


def _add_format(command: argparse.ArgumentParser) -> None:
    form = command.add_mutually_exclusive_group()
    form.add_argument(
        "--format",
        choices=FORMATS,
        help="what files hold (default: by the end of each name, else text)",
    )
    form.add_argument(
        "--whole",
        action="store_const",
        dest="format",
        const=WHOLE,
        help="a file is one document, not its lines",
    )
    form.add_argument(
        "--jsonl",
        action="store_const",
        dest="format",
        const=JSONL,
        help='a line is JSON: a string, or {"text": "...", "id": "..."}, '
        'or {"words": ["...", "..."]}',
    )
    command.add_argument(
        "--column",
        "--field",
        metavar="NAME",
        help='the column or JSON field with the text (default: "text", or the only one)',
    )


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="write a file, a row for each row of the input, with its other columns: "
        "JSON lines, CSV, TSV or Parquet by the end of its name",
    )
    again = command.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="go on with a run that was stopped, if there is one"
    )
    again.add_argument(
        "--overwrite", action="store_true", help="start anew, whatever is at --output"
    )
    command.add_argument(
        "--prefix", default="", metavar="X", help="stands before the name of each column added"
    )
    command.add_argument(
        "--errors",
        type=Path,
        metavar="PATH",
        help="write rows that fail here, as JSON lines, and not to stderr",
    )
    command.add_argument(
        "--skip-errors", action="store_true", help="exit with 0 although rows failed"
    )


def _add_tasks(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "tasks", help="list the server's tasks", description="List the server's tasks."
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    _add_connection(command)


def _add_health(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "health",
        help="ask whether the server takes calls",
        description="Ask whether the server takes calls.",
    )
    command.add_argument(
        "--wait", type=_seconds, metavar="SECONDS", help="wait so long for the server to be ready"
    )
    _add_connection(command)


def _add_connection(command: argparse.ArgumentParser) -> None:
    server = command.add_mutually_exclusive_group()
    server.add_argument(
        "--address",
        default=os.environ.get("POLYHEAD_ADDRESS") or DEFAULT_TARGET,
        metavar="HOST:PORT",
        help="the server (default: %(default)s)",
    )
    server.add_argument(
        "--url",
        metavar="http://HOST:PORT",
        help="a gateway instead, which is called over HTTP; https:// uses TLS",
    )
    command.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="how long to wait for an answer, retries included (default: %(default)g)",
    )
    command.add_argument("--tls", action="store_true", help="connect with TLS to --address")
    command.add_argument(
        "--ca", type=Path, metavar="PATH", help="PEM of the authorities to trust; implies --tls"
    )


def _names(value: str) -> list[str]:
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError("expected names with commas between")
    return names


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, not {value!r}")
    return seconds
