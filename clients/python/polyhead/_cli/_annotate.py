"""The command `annotate`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead import Annotation, InvalidArgumentError, Outcome, Words
from polyhead._cli._bulk_source import outcomes
from polyhead._cli._files import annotate_files
from polyhead._cli._inputs import (
    PARQUET,
    STDIN,
    SUFFIXES,
    Entries,
    Entry,
    Item,
    UsageError,
    columns_of,
    form_of,
    pick_column,
    total_bytes,
)
from polyhead._cli._outputs import ErrorFile, failure_of, need_parquet
from polyhead._cli._progress import Progress
from polyhead._cli._view import View

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import Console

    from polyhead._calls import SyncCalls


@dataclass(slots=True)
class Tally:
    """How it went.

    Attributes:
        done: Documents annotated.
        failed: Documents that were not.
        server_failed: Whether one of them failed for another reason than what it is.
    """

    done: int = 0
    failed: int = 0
    server_failed: bool = False

    def count_failure(self, outcome: Outcome) -> None:
        """Count a document that could not be annotated."""
        self.failed += 1
        self.server_failed |= not isinstance(outcome.error, InvalidArgumentError)


def annotate(client: SyncCalls, options: argparse.Namespace, console: Console) -> Tally:
    """Annotate what the options name, into a file or printing each result as it comes.

    Raises:
        UsageError: There is nothing to annotate, no such task, or something else is wrong with
            what was asked for.
        PolyheadError: The server is out of reach, or fails as a whole.
    """
    texts, paths = _sort(options)
    if options.output is not None:
        if texts:
            raise UsageError("--output is for files and standard input, not for a TEXT")
        _check_tasks(client, options.tasks)
        failed = annotate_files(client, options, paths, console)
        return Tally(done=1, failed=failed)
    if options.resume or options.overwrite:
        raise UsageError("--resume and --overwrite go with --output")
    _check_files(options, paths)
    _check_tasks(client, options.tasks)
    return _print_all(client, options, texts, paths, console)


def _print_all(
    client: SyncCalls,
    options: argparse.Namespace,
    texts: list[str],
    paths: list[str],
    console: Console,
) -> Tally:
    tally, view = Tally(), View(console)
    errors = ErrorFile(options.errors)
    with Progress(total_bytes(paths), console) as progress:
        for row, (item, outcome) in enumerate(_outcomes(client, options, texts, paths), start=1):
            progress.advance(item.bytes)
            if outcome.annotation is None:
                tally.count_failure(outcome)
                errors.add(row, item.place, *failure_of(item, outcome))
            elif isinstance(item, Entry):
                tally.done += 1
                if options.json:
                    _print_json(item, outcome.annotation)
                else:
                    view.show(item, outcome.annotation)
    errors.close()
    return tally


def _sort(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Tell texts from files."""
    texts, paths = [], list(options.file)
    for argument in options.text:
        if argument != STDIN and not _names_file(argument):
            texts.append(argument)
        elif argument != STDIN:
            paths.append(argument)
    if STDIN in options.text or (not texts and not paths and not sys.stdin.isatty()):
        paths.append(STDIN)
    if not texts and not paths:
        raise UsageError("nothing to annotate: give a TEXT, a FILE, or pipe text in")
    return texts, paths


def _names_file(argument: str) -> bool:
    """Whether an argument is a file and not a text."""
    path = Path(argument)
    try:
        if path.is_file():
            return True
    except (OSError, ValueError):  # a text too long or too strange for a name
        return False
    if path.suffix.lower() in SUFFIXES and len(argument.split()) == 1:
        raise UsageError(f"{argument}: No such file")
    return False


def _check_tasks(client: SyncCalls, names: list[str] | None) -> None:
    if names is None:
        return
    known = [task.name for task in client.list_tasks().tasks]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"no such task: {', '.join(unknown)}; there are: {', '.join(known)}")


def _check_files(options: argparse.Namespace, paths: list[str]) -> None:
    """Look at the heads of tables, so that nothing is annotated where one lacks its column."""
    for path in paths:
        form = form_of(path, options.format)
        if form == PARQUET:
            need_parquet()
        try:
            columns = columns_of(path, form) if path != STDIN else None
        except OSError:  # said in its place
            continue
        if columns:
            pick_column(path, columns, options.column)


def _outcomes(
    client: SyncCalls, options: argparse.Namespace, texts: list[str], paths: list[str]
) -> Iterator[tuple[Item, Outcome]]:
    for number, text in enumerate(texts, start=1):
        place = f"text {number}" if paths or len(texts) > 1 else ""
        yield Entry(place, str(number), text, 0), _annotate_one(client, options, text)
    if paths:
        rows = Entries(paths, lambda path: form_of(path, options.format), options.column)
        yield from outcomes(client, rows, options.tasks, options, rows.ready)


def _annotate_one(client: SyncCalls, options: argparse.Namespace, text: str) -> Outcome:
    try:
        annotation = client.annotate(
            text, options.tasks, offset_unit=options.offset_unit, priority=options.priority
        )
    except InvalidArgumentError as error:
        return Outcome(0, "", error=error)
    return Outcome(0, "", annotation=annotation)


def _print_json(entry: Entry, annotation: Annotation) -> None:
    document = entry.document
    source = {"words": list(document.words)} if isinstance(document, Words) else {"text": document}
    record = {"id": entry.id, **source, **annotation.to_dict()}
    plain = (sys.stdout.encoding or "").lower() not in ("utf-8", "utf8")
    sys.stdout.write(json.dumps(record, ensure_ascii=plain) + "\n")
    sys.stdout.flush()
