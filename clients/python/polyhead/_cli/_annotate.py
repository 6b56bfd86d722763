"""The command `annotate`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead import (
    Annotation,
    Client,
    Document,
    InvalidArgumentError,
    Outcome,
    PolyheadError,
    Words,
)
from polyhead._cli._inputs import STDIN, Entries, Entry, UnreadableError, total_bytes
from polyhead._cli._progress import Progress
from polyhead._cli._terminal import complain
from polyhead._cli._view import View
from polyhead._client_stream import PolledSource

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import Console


class UsageError(Exception):
    """The command cannot be done as it was given."""


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

    def report(self, error: UnreadableError) -> None:
        """Count a document that cannot be read, and say so."""
        self.failed += 1
        complain(str(error))

    def report_outcome(self, entry: Entry, error: PolyheadError) -> None:
        """Count a document that the server or the client refused, and say so."""
        self.failed += 1
        self.server_failed |= not isinstance(error, InvalidArgumentError)
        complain(f"{entry.place}: {_reason(error)}" if entry.place else _reason(error))


def annotate(client: Client, options: argparse.Namespace, console: Console) -> Tally:
    """Annotate what the options name, printing each result as it comes.

    Raises:
        UsageError: There is nothing to annotate, or no such task.
        PolyheadError: The server is out of reach, or fails as a whole.
    """
    _check_tasks(client, options.tasks)
    tally = Tally()
    texts = [text for text in options.text if text != STDIN]
    paths = _paths(options, texts)
    view = View(console)
    with Progress(total_bytes(paths), console) as progress:
        for entry, outcome in _outcomes(client, options, texts, paths, tally):
            progress.advance(entry.bytes)
            if outcome.annotation is not None:
                tally.done += 1
                if options.json:
                    _print_json(entry, outcome.annotation)
                else:
                    view.show(entry, outcome.annotation)
            elif outcome.error is not None:
                tally.report_outcome(entry, outcome.error)
    return tally


def _paths(options: argparse.Namespace, texts: list[str]) -> list[str]:
    paths = list(options.file)
    if STDIN in options.text or (not texts and not paths and not sys.stdin.isatty()):
        paths.append(STDIN)
    if not texts and not paths:
        raise UsageError("nothing to annotate: give a TEXT, --file PATH, or pipe text in")
    return paths


def _check_tasks(client: Client, names: list[str] | None) -> None:
    if names is None:
        return
    known = [task.name for task in client.list_tasks().tasks]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"no such task: {', '.join(unknown)}; there are: {', '.join(known)}")


def _outcomes(
    client: Client,
    options: argparse.Namespace,
    texts: list[str],
    paths: list[str],
    tally: Tally,
) -> Iterator[tuple[Entry, Outcome]]:
    for number, text in enumerate(texts, start=1):
        place = f"text {number}" if paths or len(texts) > 1 else ""
        entry = Entry(place, str(number), text, 0)
        yield entry, _annotate_one(client, options, text)
    if paths:
        read = Entries(paths, whole=options.whole, jsonl=options.jsonl, report=tally.report)
        yield from _annotate_all(client, options, read)


def _annotate_one(client: Client, options: argparse.Namespace, document: Document) -> Outcome:
    try:
        unit = options.offset_unit
        annotation = client.annotate(document, options.tasks, offset_unit=unit)
    except InvalidArgumentError as error:
        return Outcome(0, "", error=error)
    return Outcome(0, "", annotation=annotation)


class _Source(PolledSource):
    """Documents with their ids; keeps the entries of those on their way, and no others."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._rest = enumerate(entries)
        self.kept: dict[int, Entry] = {}

    def __next__(self) -> tuple[str, Document]:
        index, entry = next(self._rest)
        self.kept[index] = entry
        return entry.id, entry.document

    def ready(self) -> bool:
        return self._entries.ready()


def _annotate_all(
    client: Client, options: argparse.Namespace, entries: Entries
) -> Iterator[tuple[Entry, Outcome]]:
    source, unit = _Source(entries), options.offset_unit
    for outcome in client.annotate_stream(source, options.tasks, ordered=True, offset_unit=unit):
        yield source.kept.pop(outcome.index), outcome


def _print_json(entry: Entry, annotation: Annotation) -> None:
    document = entry.document
    source = {"words": list(document.words)} if isinstance(document, Words) else {"text": document}
    record = {"id": entry.id, **source, **annotation.to_dict()}
    plain = (sys.stdout.encoding or "").lower() not in ("utf-8", "utf8")
    sys.stdout.write(json.dumps(record, ensure_ascii=plain) + "\n")
    sys.stdout.flush()


def _reason(error: PolyheadError) -> str:
    """Give the violations without their paths, which point into a request nobody sees."""
    if isinstance(error, InvalidArgumentError) and error.violations:
        return "; ".join(violation.description for violation in error.violations)
    return error.message
