"""Documents from files and standard input, one at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from polyhead import Document, Words
from polyhead._cli._lines import Lines

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Entry:
    """A document and where it came from.

    Attributes:
        place: Where, as in `notes.txt:12`; empty for the only text of a command.
        id: The id given with it; otherwise the place.
        document: The document.
        bytes: What it took up there.
    """

    place: str
    id: str
    document: Document
    bytes: int


class UnreadableError(Exception):
    """A line or a file that holds no document; says where and why."""


class _LineError(Exception):
    """Why a line holds no document."""


Report = Callable[[UnreadableError], None]
Read = Callable[[str, Iterable[bytes], Report], Iterator[Entry]]


class Entries:
    """The documents of files in order. What cannot be read is reported, and the rest is read.

    Args:
        paths: The files; `-` is standard input.
        whole: A file is one document rather than its lines.
        jsonl: A line is JSON.
        report: Is told of each document that cannot be read.
    """

    def __init__(self, paths: list[str], *, whole: bool, jsonl: bool, report: Report) -> None:
        self._paths = paths
        self._read: Read = _whole if whole else _jsonl if jsonl else _lines
        self._report = report
        self._lines: Lines | None = None

    def __iter__(self) -> Iterator[Entry]:
        for path in self._paths:
            try:
                if path == STDIN:
                    self._lines = Lines(sys.stdin.buffer)
                    yield from self._read(path, self._lines, self._report)
                    continue
                with Path(path).open("rb") as file:
                    yield from self._read(path, file, self._report)
            except OSError as error:
                self._report(UnreadableError(f"{path}: {error.strerror or error}"))

    def ready(self) -> bool:
        """Whether the next document is there without waiting."""
        return self._lines is None or self._lines.ready()


def total_bytes(paths: list[str]) -> int | None:
    """Count the bytes to come; None where that cannot be known."""
    try:
        regular = all(path != STDIN and Path(path).is_file() for path in paths)
        return sum(Path(path).stat().st_size for path in paths) if regular else None
    except OSError:
        return None


def _whole(path: str, file: Iterable[bytes], report: Report) -> Iterator[Entry]:
    data = b"".join(file)
    try:
        yield Entry(path, path, _decode(data), len(data))
    except _LineError as error:
        report(UnreadableError(f"{path}: {error}"))


def _lines(path: str, file: Iterable[bytes], report: Report) -> Iterator[Entry]:
    return _each_line(path, file, report, lambda text, place: (place, text))


def _jsonl(path: str, file: Iterable[bytes], report: Report) -> Iterator[Entry]:
    return _each_line(path, file, report, _parse)


def _each_line(
    path: str,
    file: Iterable[bytes],
    report: Report,
    parse: Callable[[str, str], tuple[str, Document]],
) -> Iterator[Entry]:
    for number, line in enumerate(file, start=1):
        place = f"{path}:{number}"
        try:
            text = _decode(line).rstrip("\r\n")
            if not text.strip():
                continue
            item_id, document = parse(text, place)
        except _LineError as error:
            report(UnreadableError(f"{place}: {error}"))
            continue
        yield Entry(place, item_id, document, len(line))


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _LineError(f"not UTF-8 at byte {error.start}") from None


def _parse(text: str, place: str) -> tuple[str, Document]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _LineError(f"not JSON: {error}") from None
    match value:
        case str():
            return place, value
        case {"text": str(content)}:
            return _id(value, place), content
        case {"words": [*words]} if all(isinstance(word, str) for word in words):
            return _id(value, place), Words(words)
        case _:
            raise _LineError('expected a string, or an object with "text" or "words"')


def _id(value: dict[str, object], place: str) -> str:
    given = value.get("id")
    return place if given is None else str(given)
