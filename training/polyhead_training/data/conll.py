"""CoNLL columns: one word a line with its tag in a column, a blank line between sentences."""

import re
from collections.abc import Iterator

from polyhead_training.data.bio import OUTSIDE
from polyhead_training.data.examples import Example
from polyhead_training.data.files import DataFile
from polyhead_training.data.labels import LabelMap

LOST = "\N{REPLACEMENT CHARACTER}"
"""What is read where a data set lost a word."""
_DOCUMENT_START = "-DOCSTART-"
_BLANKS = re.compile(r"[ \t]+")
_COMMENT = re.compile(r"# |#\s*\w+\s*=")
_NEWDOC = re.compile(r"#\s*newdoc id\s*=\s*(.+)")


def read_conll(file: DataFile, column: int, labels: LabelMap) -> Iterator[Example]:
    """Yield one example a sentence; sentences with a problem are noted and left out.

    Columns are divided by TABs where the first word's line has one, else by spaces; the word is the
    first, and an empty word outside all spans is read as U+FFFD. A line that begins with "# " and
    lacks the columns of a word is a comment.
    """
    return _Reader(file, column, labels).examples()


def columns_of(line: str, separator: str | None = None) -> list[str]:
    """The columns of a line that is not blank: between separators, or between blanks without one.

    Other space belongs to a word, as the no-break space in "10 000" does.
    """
    return line.split(separator) if separator else _BLANKS.split(line.strip(" \t"))


def starts_document(line: str) -> bool:
    """Whether a line that is not blank stands between documents."""
    return columns_of(line)[0] == _DOCUMENT_START


def looks_like_comment(line: str, width: int = 0) -> bool:
    """Whether a line begins as a comment does, and is no word.

    Args:
        line: the line; one with TABs between columns is a word.
        width: columns that lines have, where blanks are between them; 0 else, or not known yet. A
            line with as many is the word "#", unless it has the "=" of a comment.
    """
    if not _COMMENT.match(line) or "\t" in line:
        return False
    return not width or len(columns_of(line)) != width or "=" in line


class _Reader:
    def __init__(self, file: DataFile, column: int, labels: LabelMap) -> None:
        self._file = file
        self._column = column
        self._labels = labels
        self._group = file.name
        self._documents = 0
        self._separator: str | None = None
        self._width = 0
        self._start_sentence()

    def examples(self) -> Iterator[Example]:
        for number, line in self._file.lines():
            if not line.strip():
                yield from self._finish()
            elif starts_document(line):
                yield from self._finish()
                self._documents += 1
                self._group = f"{self._file.name}#{self._documents}"
            elif not self._is_comment(line):
                self._token(number, line)
        yield from self._finish()

    def _start_sentence(self) -> None:
        self._words: list[str] = []
        self._tags: list[str] = []
        self._lines: list[int] = []
        self._broken = False

    def _is_comment(self, line: str) -> bool:
        if not looks_like_comment(line, self._width if self._separator is None else 0):
            return False
        if match := _NEWDOC.match(line):
            self._group = match.group(1).strip()
        return True

    def _token(self, number: int, line: str) -> None:
        if not self._width and not self._learn_columns(number, line):
            return
        columns = columns_of(line, self._separator)
        if len(columns) != self._width:
            between = "TABs" if self._separator else "spaces"
            message = f"has {len(columns)} columns between {between}, not {self._width}"
            self._problem(number, f"{message} as the lines before")
        else:
            self._word(number, columns[0], columns[self._column].strip())

    def _word(self, number: int, word: str, tag: str) -> None:
        if not word.strip():
            # The Broad Twitter Corpus has such words outside its spans: a character was lost.
            if tag != OUTSIDE:
                self._problem(number, "the word is empty")
            word = LOST
        self._words.append(word)
        self._tags.append(tag)
        self._lines.append(number)

    def _learn_columns(self, number: int, line: str) -> bool:
        """Take the layout from the first word's line; False where it cannot hold a tag."""
        separator = "\t" if "\t" in line else None
        width = len(columns_of(line, separator))
        if not -width <= self._column < width or self._column in {0, -width}:
            self._problem(number, f"has {width} columns, so none is tag column {self._column}")
            return False
        self._separator, self._width = separator, width
        return True

    def _finish(self) -> Iterator[Example]:
        words, tags, lines, broken = self._words, self._tags, self._lines, self._broken
        self._start_sentence()
        if not words:
            return
        checked = self._labels.tags(tags, self._file, lines)
        if checked is not None and not broken:
            origin = self._file.origin(lines[0])
            yield Example(origin, None, tuple(words), checked, None, self._group)

    def _problem(self, line: int, message: str) -> None:
        self._broken = True
        self._file.problem(line, message)
