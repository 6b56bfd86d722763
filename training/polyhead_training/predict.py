"""Offline annotation with a served bundle, of inputs of any size, in the order they came."""

from __future__ import annotations

import gzip
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

from polyhead_server.errors import NoWordsError
from polyhead_training.errors import TrainingError
from polyhead_training.predict_engine import Predictor
from polyhead_training.predict_inputs import Item, Refused, open_lines, read_items
from polyhead_training.predict_outputs import JsonRows, PseudoLabels, WordColumns
from polyhead_training.predict_progress import Bar, Refusals
from polyhead_training.predict_rows import FieldNames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from polyhead_server.encoding import Document
    from polyhead_training.predict_inputs import InputFormat, Lines
    from polyhead_training.predict_outputs import OutputFormat, Writer

_CHUNK_TEXTS = 512
_CHUNK_CHARS = 100_000


@dataclass(frozen=True, slots=True)
class Order:
    """What to annotate, and how."""

    bundle: Path
    input: Path | None
    """None for standard input."""
    form: InputFormat
    output: Path | None
    """None for standard output."""
    output_form: OutputFormat = "jsonl"
    tasks: tuple[str, ...] = ()
    """Heads to run, all if empty."""
    pseudo_label: str = ""
    """Write this head's answers as training data."""
    min_score: float = 0.9
    """Probability that an answer needs to become training data."""
    errors: Path | None = None
    """File for the records that cannot be read."""
    skip_errors: bool = False
    """Whether such records are no error."""
    threads: int = 0
    """Inference threads, 0 for all."""
    names: FieldNames = field(default_factory=FieldNames)
    """Names of the fields to read."""


def predict(order: Order) -> None:
    """Annotate a file, or standard input.

    Raises:
        TrainingError: the bundle does not serve for this; or, once all is done, records were left
            out.
        OSError: a file cannot be read or written.
    """
    _check_places(order)
    tasks = (order.pseudo_label,) if order.pseudo_label else order.tasks
    with Predictor(order.bundle, tasks, order.threads) as predictor, ExitStack() as stack:
        writer = _writer(order, predictor)
        lines = stack.enter_context(open_lines(order.input))
        bar = stack.enter_context(Bar(order.input))
        refusals = stack.enter_context(Refusals(lines.name, order.errors, bar.say))
        write = stack.enter_context(_opened(order.output))
        done = 0
        for chunk in _chunks(order, predictor, writer, lines, refusals):
            found = predictor.annotate([document for _, document in chunk])
            for (item, _), predicted in zip(chunk, found, strict=True):
                write(writer(item.row, predicted))
            done += len(chunk)
            bar.show(done, lines.bytes)
        refusals.tell_rest()
        bar.say(_summary(done, bar.seconds, writer))
    refusals.conclude(done, allowed=order.skip_errors)


def _check_places(order: Order) -> None:
    """Nothing may be written over what is read."""
    read = order.input and order.input.resolve()
    for written in (order.output, order.errors):
        if written is not None and written.resolve() == read:
            raise TrainingError(f"{written} is the input: write to another file")
    if order.output and order.errors and order.output.resolve() == order.errors.resolve():
        raise TrainingError(f"{order.errors} cannot take the results and the errors")


def _writer(order: Order, predictor: Predictor) -> Writer:
    plain = [name for name, spec in predictor.specs.items() if spec.kind == "classification"]
    if order.output_form == "conll" and plain:
        raise TrainingError(
            f"columns of words have no place for {', '.join(plain)}, which labels whole texts: "
            "choose other tasks, or write jsonl"
        )
    if order.pseudo_label:
        return PseudoLabels(predictor, order.pseudo_label, order.min_score, order.output_form)
    return (WordColumns if order.output_form == "conll" else JsonRows)(predictor.specs)


def _chunks(
    order: Order, predictor: Predictor, writer: Writer, lines: Lines, refusals: Refusals
) -> Iterator[list[tuple[Item, Document]]]:
    """Records that can be annotated, so many at a time that memory stays bounded."""
    chunk: list[tuple[Item, Document]] = []
    chars = 0
    for record in read_items(lines, order.form, order.names):
        if not isinstance(record, Item):
            refusals.take(record)
            continue
        if isinstance(writer, JsonRows) and (message := writer.problem(record.row)):
            refusals.take(Refused(record.line, message, record.raw))
            continue
        try:
            document = predictor.read(record.row.source)
        except NoWordsError:
            refusals.take(Refused(record.line, "has no word to annotate", record.raw))
            continue
        chunk.append((record, document))
        chars += len(document.text)
        if len(chunk) >= _CHUNK_TEXTS or chars >= _CHUNK_CHARS:
            yield chunk
            chunk, chars = [], 0
    if chunk:
        yield chunk


def _summary(done: int, seconds: float, writer: Writer) -> str:
    rate = f"{done:,} texts in {seconds:.1f} s"
    if not isinstance(writer, PseudoLabels):
        return rate
    counts = ", ".join(f"{label} {count:,}" for label, count in writer.labels.most_common(20))
    return f"{rate}; kept {writer.kept:,}" + (f": {counts}" if counts else "")


@contextmanager
def _opened(path: Path | None) -> Iterator[Callable[[str], object]]:
    """Opens the output; a file appears under its name when it is whole."""
    if path is None:
        stream = sys.stdout
        yield stream.write
        stream.flush()
        return
    partial = path.with_name(path.name + ".partial")
    with _binary(path, partial) as file:
        yield lambda text: file.write(text.encode())
    partial.replace(path)


def _binary(path: Path, partial: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(partial, "wb", compresslevel=6))
    return partial.open("wb")
