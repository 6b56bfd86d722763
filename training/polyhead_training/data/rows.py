"""JSONL and CSV: one example a row, its parts in named fields."""

import csv
import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from polyhead_training.config_types import SourceConfig
from polyhead_training.data.align import token_spans
from polyhead_training.data.examples import Example
from polyhead_training.data.files import DataFile
from polyhead_training.data.labels import LabelMap
from polyhead_training.problems import absent, did_you_mean

LONGEST_FIELD = 32 * 1024 * 1024
"""Characters of one cell of a table: a quote that is never closed must not take all memory."""
VISIBLE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]")
"""What a text needs to have a word: something besides blanks and control characters."""


def read_jsonl(
    file: DataFile, source: SourceConfig, labels: LabelMap, *, tagged: bool
) -> Iterator[Example]:
    """Yield one example a line; `tagged` rows have a tag for each word, others one label."""
    for number, line in file.lines():
        if not line.strip():
            continue
        values = _json_object(file, number, line)
        example = row_example(file, number, values, source, labels, tagged=tagged)
        if example:
            yield example


def row_example(
    file: DataFile,
    number: int,
    values: dict[str, Any] | None,
    source: SourceConfig,
    labels: LabelMap,
    *,
    tagged: bool,
) -> Example | None:
    """The example in one row, or None where it has a problem, which is noted, or is dropped."""
    row = _Row(file, number, values)
    return _tagged(row, source, labels) if tagged else _labelled(row, source, labels)


def read_texts(file: DataFile, name: str) -> Iterator[tuple[int, str]]:
    """Yield the line number and the text in a named field of every JSONL row."""
    for number, line in file.lines():
        if line.strip():
            text = _Row(file, number, _json_object(file, number, line)).text(name)
            if text is not None:
                yield number, text


def read_words_or_texts(
    file: DataFile, text: str, words: str
) -> Iterator[tuple[int, str | list[str]]]:
    """Yield the line number and, of every JSONL row, the list of words, else the text.

    `words` and `text` name the fields; rows without labels need not have any.
    """
    for number, line in file.lines():
        if line.strip():
            row = _Row(file, number, _json_object(file, number, line))
            found = row.texts(words) if row.has_list(words) else row.text(text)
            if found is not None:
                yield number, found


def read_csv(file: DataFile, source: SourceConfig, labels: LabelMap) -> Iterator[Example]:
    """Yield one example a row below the header row; a .tsv file has TABs between columns."""
    csv.field_size_limit(LONGEST_FIELD)
    counter = _LineCounter(file)
    usual = "\t" if file.path.name.removesuffix(".gz").endswith(".tsv") else ","
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if source.quotes else csv.QUOTE_NONE
    reader = csv.reader(counter, delimiter=source.delimiter or usual, quoting=quoting, strict=True)
    header: list[str] = []
    for line, cells in _csv_records(file, counter, reader):
        if header:
            example = _labelled(_csv_row(file, line, header, cells), source, labels)
            if example:
                yield example
        elif _check_header(file, line, cells, source):
            header = cells
        else:
            return


def _csv_records(
    file: DataFile, counter: "_LineCounter", reader: Iterator[list[str]]
) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not blank with the line it starts on; reading goes on after bad ones."""
    while True:
        counter.first = 0
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            file.problem(counter.first, f"is not valid CSV: {error}")
            continue
        if cells:
            yield counter.first, cells


class _LineCounter:
    """Feeds the CSV reader and remembers the line on which a record begins.

    Attributes:
        first: number of the first line that was read since it was set to 0.
    """

    def __init__(self, file: DataFile) -> None:
        self._lines = file.lines(quoted=True)
        self.first = 0

    def __iter__(self) -> Iterator[str]:
        for number, line in self._lines:
            self.first = self.first or number
            yield line + "\n"


def _check_header(file: DataFile, line: int, header: list[str], source: SourceConfig) -> bool:
    missing = [name for name in (source.text, source.label) if name not in header]
    for name in missing:
        file.problem(line, f'has no column "{name}"{did_you_mean(name, header)}')
    twice = [name for name in (source.text, source.label) if header.count(name) > 1]
    for name in twice:
        file.problem(line, f'has more than one column "{name}"')
    return not missing and not twice


def _csv_row(file: DataFile, line: int, header: list[str], cells: list[str]) -> "_Row":
    if len(cells) == len(header):
        return _Row(file, line, dict(zip(header, cells, strict=True)))
    file.problem(line, f"has {len(cells)} columns, the header has {len(header)}")
    return _Row(file, line, None)


def _json_object(file: DataFile, number: int, line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        file.problem(number, f"is not valid JSON at column {error.colno}: {error.msg}")
    except (ValueError, RecursionError):
        file.problem(
            number, "is not JSON that can be read: a number is too long or nesting too deep"
        )
    else:
        if isinstance(value, dict):
            return value
        file.problem(number, "must be a JSON object, such as {...}")
    return None


class _Row:
    """One row under reading: its methods return None where they have noted a problem."""

    def __init__(self, file: DataFile, line: int, values: dict[str, Any] | None) -> None:
        self.file = file
        self.line = line
        self._values = values

    def text(self, name: str) -> str | None:
        value = self._get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self._refuse(f'field "{name}" must be a text, not {_type(value)}')
            return None
        if not VISIBLE.search(value):
            self._refuse(f'field "{name}" is empty')
            return None
        return self._sound(name, value)

    def label(self, name: str) -> str | None:
        """Whole numbers count as labels, since many data sets number theirs."""
        value = self._get(name)
        if value is None or isinstance(value, str):
            return value
        if type(value) is int:
            return str(value)
        self._refuse(f'field "{name}" must be a text, not {_type(value)}')
        return None

    def texts(self, name: str) -> list[str] | None:
        value = self._get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not value:
            self._refuse(f'field "{name}" must be a list of texts that is not empty')
            return None
        for index, item in enumerate(value):
            if not isinstance(item, str) or not item.strip():
                self._refuse(f'item {index} of field "{name}" must be a text, not empty')
                return None
            if self._sound(name, item) is None:
                return None
        return value

    def optional_text(self, name: str) -> str | None:
        value = (self._values or {}).get(name)
        return value if isinstance(value, str) and value.strip() else None

    def has_list(self, name: str) -> bool:
        return isinstance((self._values or {}).get(name), list)

    def _get(self, name: str) -> Any:
        if self._values is None:
            return None
        value = self._values.get(name)
        if value is None:
            self._refuse(absent(name, self._values))
        return value

    def _sound(self, name: str, value: str) -> str | None:
        try:
            value.encode()
        except UnicodeEncodeError:
            self._refuse(f'field "{name}" holds half of a surrogate pair')
            return None
        return value

    def _refuse(self, message: str) -> None:
        self.file.problem(self.line, message)


def _labelled(row: _Row, source: SourceConfig, labels: LabelMap) -> Example | None:
    words = row.texts(source.words) if source.words else None
    text = None if source.words else row.text(source.text)
    raw = row.label(source.label)
    label = None if raw is None else labels.label(raw, row.file, row.line)
    if not label or (text is None and words is None):
        return None
    origin = row.file.origin(row.line)
    return Example(origin, text, tuple(words) if words else None, label, None, row.file.name)


def _tagged(row: _Row, source: SourceConfig, labels: LabelMap) -> Example | None:
    """The text is taken along where the row has one that the words spell."""
    words, raw = row.texts(source.words or "words"), row.texts(source.tags)
    if words is None or raw is None:
        return None
    if len(words) != len(raw):
        row.file.problem(row.line, f"has {len(words)} words but {len(raw)} tags")
        return None
    tags = labels.tags(raw, row.file, [row.line] * len(raw))
    if tags is None:
        return None
    text = row.optional_text(source.text)
    spans = token_spans(text, words) if text else None
    placed = tuple(spans) if spans else None
    origin = row.file.origin(row.line)
    return Example(origin, text if placed else None, tuple(words), tags, placed, row.file.name)


def _type(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "an object")
