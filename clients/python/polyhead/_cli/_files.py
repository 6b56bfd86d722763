"""Annotating files into a file: what was begun and stopped is gone on with, each row once."""

from __future__ import annotations

import shutil
import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyhead._cli._bulk_source import outcomes
from polyhead._cli._inputs import (
    PARQUET,
    STDIN,
    Entries,
    Item,
    UsageError,
    columns_of,
    form_of,
    pick_column,
    total_bytes,
)
from polyhead._cli._journal import Journal, fingerprint
from polyhead._cli._outputs import ErrorFile, Output, failure_of, need_parquet, output_format
from polyhead._cli._progress import Progress
from polyhead._cli._terminal import complain

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from rich.console import Console

    from polyhead import Annotation, Bundle
    from polyhead._calls import SyncCalls

_OF_A_RESPONSE = ("timings", "request_id")  # which say nothing about the document


def annotate_files(
    client: SyncCalls, options: argparse.Namespace, paths: list[str], console: Console
) -> int:
    """Annotate files into `options.output`.

    Returns:
        The number of rows that could not be annotated.

    Raises:
        UsageError: It cannot be done as it was given; nothing was annotated.
        PolyheadError: The server is out of reach, or fails as a whole. What was done by then is
            kept for `--resume`.
    """
    run = _Run(options, paths)
    if run.is_done():
        complain(f"{options.output} is there already, and no run is unfinished")
        return 0
    try:
        run.prepare(client.list_tasks())
        run.annotate(client, console)
        return run.finish()
    except UsageError:
        raise
    except BaseException:
        run.leave()
        raise
    finally:
        run.close()


class _Run:
    """One run: from checking what is asked for to writing the output."""

    def __init__(self, options: argparse.Namespace, paths: list[str]) -> None:
        self._options = options
        self._paths = paths
        self._output: Path = options.output
        self._partial = self._output.with_name(f"{self._output.name}.partial")
        self._spool = self._output.with_name(f"{self._output.name}.input")
        self._form = _one_form(paths, options.format)
        if PARQUET in (self._form, output_format(self._output)):
            need_parquet()
        self._check_place()
        self._errors: ErrorFile | None = None
        self._journal: Journal | None = None

    def is_done(self) -> bool:
        """Whether a run was to be gone on with that has ended."""
        done = self._output.exists() and not self._partial.exists()
        return bool(self._options.resume) and done

    def prepare(self, bundle: Bundle) -> None:
        """Look at the inputs, and open the journal, where it stood or anew."""
        options = self._options
        self._tasks = options.tasks or [task.name for task in bundle.tasks]
        if STDIN in self._paths:
            self._take_stdin()
        self._entries = Entries(self._paths, lambda _: self._form, options.column, self._spool)
        tasks = [(name, str(bundle.task(name).kind)) for name in self._tasks]
        self._result = Output(
            self._output, self._files(), self._form, self._entries, tasks, options.prefix
        )
        self._result.check(self._columns())
        self._request = {
            "inputs": self._fingerprints(),
            "format": self._form,
            "column": options.column,
            "tasks": [list(task) for task in tasks],
            "offset_unit": options.offset_unit,
            "bundle_version": bundle.version,
        }
        self._open()

    def _open(self) -> None:
        self._journal = Journal(self._partial)
        self._errors = ErrorFile(self._options.errors)
        began = self._journal.resume(self._errors.recall) if self._options.resume else None
        if began is None:
            self._journal.begin(self._request)
        else:
            _compare(began, self._request)

    def annotate(self, client: SyncCalls, console: Console) -> None:
        """Annotate the rows that are not in the journal."""
        journal, errors = self._parts()
        with Progress(total_bytes(self._files()), console) as progress:
            rows = self._rest(journal.rows, progress)
            for item, outcome in outcomes(client, rows, self._tasks, self._options):
                if outcome.annotation is not None:
                    journal.add({"annotation": _kept(outcome.annotation)})
                else:
                    status, message = failure_of(item, outcome)
                    error = {"status": status, "message": message}
                    journal.add({"place": item.place, "error": error})
                    errors.add(journal.rows, item.place, status, message)
                progress.advance(item.bytes)

    def finish(self) -> int:
        """Write the output from the journal; gives the number of rows with errors."""
        journal, errors = self._parts()
        if self._request["inputs"] != self._fingerprints():
            raise UsageError("the input changed while it was read; start again with --overwrite")
        self._result.write(journal.records())
        self._partial.unlink()
        failed = f", {errors.count:,} with errors" if errors.count else ""
        complain(f"{journal.rows:,} rows{failed}: {self._output}")
        return errors.count

    def leave(self) -> None:
        """Say how to go on; where nothing was done, leave nothing behind."""
        if self._journal is not None and self._journal.rows:
            complain(f"{self._journal.rows:,} rows are done; go on with --resume")
        elif self._journal is not None:
            self._partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Put everything on the disk."""
        if self._journal is not None:
            self._journal.close()
        if self._errors is not None:
            self._errors.close()
        self._spool.unlink(missing_ok=True)

    def _parts(self) -> tuple[Journal, ErrorFile]:
        if self._journal is None or self._errors is None:
            raise RuntimeError("prepare comes first")
        return self._journal, self._errors

    def _rest(self, done: int, progress: Progress) -> Iterator[Item]:
        items = iter(self._entries)
        for item in islice(items, done):
            progress.skip(item.bytes)
        yield from items

    def _files(self) -> list[str]:
        return [str(self._spool) if path == STDIN else path for path in self._paths]

    def _fingerprints(self) -> list[list[int]]:
        # Standard input comes anew each time, and is what it was where it holds the same.
        spool = str(self._spool)
        return [fingerprint(Path(path), dated=path != spool) for path in self._files()]

    def _take_stdin(self) -> None:
        """Put standard input where it can be read twice."""
        with self._spool.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)

    def _check_place(self) -> None:
        options = self._options
        written = [path for path in (self._output, options.errors) if path is not None]
        read = {Path(path).resolve() for path in self._paths if path != STDIN}
        places = {path.resolve() for path in written}
        if len(places) < len(written) or places & read:
            raise UsageError("inputs, --output and --errors are different files")
        if not self._output.parent.is_dir():
            raise UsageError(f"--output: no such folder: {self._output.parent}")
        if options.resume or options.overwrite:
            return
        if self._partial.exists():
            raise UsageError(
                f"{self._partial} is an unfinished run: go on with --resume, "
                "or start again with --overwrite"
            )
        if self._output.exists():
            raise UsageError(f"{self._output} is there already: replace it with --overwrite")

    def _columns(self) -> list[str]:
        """Look at the head of every input; gives the names of all their columns."""
        found: dict[str, None] = {}
        for path in self._files():
            try:
                with Path(path).open("rb"):
                    columns = columns_of(path, self._form)
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror or error}") from None
            if columns:
                pick_column(path, columns, self._options.column)
                found.update(dict.fromkeys(columns))
        if self._form == PARQUET:
            from polyhead._cli._parquet import same_columns  # noqa: PLC0415 - optional

            if not same_columns(self._paths):
                raise UsageError("the files have different columns or types of columns")
        elif not found:
            first = next(iter(self._entries), None)
            found.update(dict.fromkeys(first.fields if first is not None else ()))
        return list(found)


def _one_form(paths: list[str], given: str | None) -> str:
    forms = {form_of(path, given) for path in paths}
    if len(forms) > 1:
        raise UsageError(f"files of one format at a time, not {' and '.join(sorted(forms))}")
    form = forms.pop()
    if form == PARQUET and STDIN in paths:
        raise UsageError("Parquet is not read from standard input")
    return form


def _compare(began: dict[str, Any], request: dict[str, Any]) -> None:
    """Refuse to go on with something else; raises UsageError."""
    other = [key for key, value in request.items() if began.get(key) != value]
    names = [key.replace("_", " ") for key in other if key != "bundle_version"]
    if names:
        raise UsageError(f"the unfinished run has other {', '.join(names)}; see --overwrite")
    if other:
        complain(
            f"the rows before are by bundle {began['bundle_version']}, "
            f"those to come by {request['bundle_version']}"
        )


def _kept(annotation: Annotation) -> dict[str, Any]:
    record = annotation.to_dict()
    for name in _OF_A_RESPONSE:
        del record[name]
    return record
