"""What one record of an input says: the text or words to annotate, and the fields to keep."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polyhead_training.data.align import token_spans
from polyhead_training.data.conll import LOST, columns_of, looks_like_comment
from polyhead_training.problems import absent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.encoding import Source
    from polyhead_training.data.examples import Span

MOST_CHARS = 1_000_000
"""Code points of one text, so that memory stays bounded."""

_CONLLU_COLUMNS = 10


class RowError(Exception):
    """A record cannot be annotated.

    Args:
        message: what is wrong.
        place: the line of the record where it is, from 0.
    """

    def __init__(self, message: str, place: int = 0) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Names of the fields to read."""

    text: str = "text"
    words: str = ""
    """Field with a list of words to be taken in place of the text; empty for none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One text or sentence to annotate."""

    source: Source
    fields: dict[str, Any]
    """What is written again beside the predictions."""
    text: str | None = None
    """The text that the words are from; None where the source is the text, or there is none."""
    places: Sequence[Span] | None = None
    """Place of each word in `text`."""


def text_row(line: str) -> Row:
    """A line of text."""
    return _of_text(line, {"text": line})


def json_row(names: FieldNames, line: str) -> Row:
    """A JSON object with a text or a list of words.

    Raises:
        RowError: it is not such an object.
    """
    try:
        fields = json.loads(line)
    except json.JSONDecodeError as error:
        raise RowError(f"is not valid JSON at column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise RowError(
            "is not JSON that can be read: a number is too long or nesting too deep"
        ) from None
    if not isinstance(fields, dict):
        raise RowError("must be a JSON object, such as {...}")
    if not names.words and fields.get(names.text) is not None:
        return _of_text(fields[names.text], fields, names.text)
    name = names.words or "words"
    if fields.get(name) is None:
        raise RowError(absent(names.words or names.text, fields))
    row = _of_words(fields[name], fields, name, fields.get(names.text))
    if row.places is None and fields.get(names.text) is not None:
        raise RowError(f'the words do not spell the text of field "{names.text}"')
    return row


def csv_row(header: Sequence[str], cells: Sequence[str], names: FieldNames) -> Row:
    """A row of a table.

    Raises:
        RowError: it has not a cell for each column, or no text.
    """
    if len(cells) != len(header):
        raise RowError(f"has {len(cells)} columns, the header has {len(header)}")
    if len(set(header)) < len(header):
        raise RowError("the header has a name twice")
    fields = dict(zip(header, cells, strict=True))
    return _of_text(fields[names.text], fields, names.text)


def conllu_row(lines: Sequence[str]) -> Row | None:
    """A sentence in CoNLL-U; None for comments alone.

    Raises:
        RowError: a line has not ten columns, or an empty word.
    """
    fields: dict[str, Any] = {}
    words: list[str] = []
    tags: list[str] = []
    text = None
    for place, line in enumerate(lines):
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            text = value.strip() if key.strip() == "text" else text
            if key.strip() == "sent_id":
                fields["sent_id"] = value.strip()
            continue
        columns = line.split("\t")
        if len(columns) != _CONLLU_COLUMNS:
            message = f"has {len(columns)} columns, CoNLL-U has {_CONLLU_COLUMNS} with TABs between"
            raise RowError(message, place)
        if columns[0].isdecimal():
            if not columns[1].strip():
                raise RowError("the word is empty", place)
            words.append(columns[1])
            tags.append(columns[3])
    if not words:
        return None
    return _of_words(words, {**fields, "words": words, "upos": tags}, "words", text)


def conll_row(lines: Sequence[str]) -> Row | None:
    """A sentence in columns, the word first; None where it has no word.

    An empty word, whose character a data set lost, is read as U+FFFD.

    Raises:
        RowError: lines differ in their number of columns.
    """
    separator = "\t" if any("\t" in line for line in lines) else None
    rows: list[list[str]] = []
    for place, line in enumerate(lines):
        if looks_like_comment(line, len(rows[0]) if rows and separator is None else 0):
            continue
        cells = columns_of(line, separator)
        if rows and len(cells) != len(rows[0]):
            message = f"has {len(cells)} columns, not {len(rows[0])} as the lines before"
            raise RowError(message, place)
        rows.append([cells[0] if cells[0].strip() else LOST, *cells[1:]])
    if not rows:
        return None
    words = [row[0] for row in rows]
    given = {"tags": [row[-1] for row in rows]} if len(rows[0]) > 1 else {}
    return _of_words(words, {"words": words, **given}, "words", None)


def _of_text(text: object, fields: dict[str, Any], name: str = "text") -> Row:
    if not isinstance(text, str):
        raise RowError(f'field "{name}" must be a text')
    _check(text, name)
    return Row(text, fields)


def _of_words(words: object, fields: dict[str, Any], name: str, text: object) -> Row:
    if not isinstance(words, list) or not words:
        raise RowError(f'field "{name}" must be a list of texts that is not empty')
    for index, word in enumerate(words):
        if not isinstance(word, str) or not word.strip():
            raise RowError(f'item {index} of field "{name}" must be a text, not empty')
    _check(" ".join(words), name)
    places = token_spans(text, words) if isinstance(text, str) else None
    if places is None:
        joined = " ".join(words)
        return Row(tuple(words), {**fields, "text": joined})
    return Row(tuple(words), {**fields, "text": text}, str(text), places)


def _check(text: str, name: str) -> None:
    if len(text) > MOST_CHARS:
        raise RowError(f"has a text of {len(text):,} characters; at most {MOST_CHARS:,} are read")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowError(f'field "{name}" holds half of a surrogate pair') from None
