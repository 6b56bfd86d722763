"""CoNLL-U: sentences of words with UPOS or XPOS tags, with the raw text and document ids.

The format is described at https://universaldependencies.org/format.html.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from polyhead_training.data.align import split_span, token_spans
from polyhead_training.data.examples import Example, Span
from polyhead_training.data.files import DataFile
from polyhead_training.data.labels import LabelMap

_COLUMNS = 10
_TAG_COLUMN = {"upos": 3, "xpos": 4}


@dataclass(slots=True)
class _Sentence:
    """The lines of one sentence as far as read."""

    line: int
    text: str | None = None
    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    surfaces: list[tuple[str, int]] = field(default_factory=list)
    """Each surface token with the number of words it holds."""
    covered: int = 0
    """Id of the last word inside the surface token read last."""
    broken: bool = False


def read_conllu(file: DataFile, column: str, labels: LabelMap) -> Iterator[Example]:
    """Yield one example a sentence; sentences with a problem are noted and left out."""
    return _Reader(file, _TAG_COLUMN[column], labels).examples()


class _Reader:
    def __init__(self, file: DataFile, tag_column: int, labels: LabelMap) -> None:
        self._file = file
        self._tag_column = tag_column
        self._labels = labels
        self._group = file.name

    def examples(self) -> Iterator[Example]:
        sentence: _Sentence | None = None
        for number, line in self._file.lines():
            if not line.strip():
                yield from self._finish(sentence)
                sentence = None
                continue
            sentence = sentence or _Sentence(number)
            if line.startswith("#"):
                self._comment(sentence, line)
            else:
                self._token(sentence, number, line)
        yield from self._finish(sentence)

    def _comment(self, sentence: _Sentence, line: str) -> None:
        key, _, value = line[1:].partition("=")
        match key.strip():
            case "text":
                sentence.text = value.strip()
            case "newdoc id":
                self._group = value.strip()

    def _token(self, sentence: _Sentence, number: int, line: str) -> None:
        columns = line.split("\t")
        if len(columns) != _COLUMNS:
            message = f"has {len(columns)} columns, CoNLL-U has {_COLUMNS} with a TAB between"
            self._problem(sentence, number, message)
            return
        identifier = columns[0]
        if identifier.isdecimal():
            self._word(sentence, number, columns)
        elif "-" in identifier:
            self._range(sentence, number, identifier, columns[1])
        elif "." not in identifier:
            self._problem(sentence, number, f'"{identifier}" is no word id')

    def _word(self, sentence: _Sentence, number: int, columns: list[str]) -> None:
        identifier = int(columns[0])
        expected = len(sentence.words) + 1
        if identifier != expected and not sentence.broken:
            self._problem(sentence, number, f"word id {identifier} where {expected} is next")
        if not columns[1].strip():
            self._problem(sentence, number, "the word is empty")
        sentence.words.append(columns[1])
        sentence.tags.append(columns[self._tag_column])
        sentence.lines.append(number)
        if identifier > sentence.covered:
            sentence.surfaces.append((columns[1], 1))

    def _range(self, sentence: _Sentence, number: int, identifier: str, form: str) -> None:
        first, _, last = identifier.partition("-")
        expected = len(sentence.words) + 1
        if not (first.isdecimal() and last.isdecimal() and expected == int(first) <= int(last)):
            if not sentence.broken:
                message = f'"{identifier}" is no range of words that starts at {expected}'
                self._problem(sentence, number, message)
            return
        sentence.surfaces.append((form, int(last) - int(first) + 1))
        sentence.covered = int(last)

    def _finish(self, sentence: _Sentence | None) -> Iterator[Example]:
        if sentence is None:
            return
        if not sentence.words and not sentence.broken:
            self._problem(sentence, sentence.line, "the sentence has no words")
        if sentence.covered > len(sentence.words) and not sentence.broken:
            self._problem(sentence, sentence.line, "a range goes past the sentence's last word")
        tags = self._labels.tags(sentence.tags, self._file, sentence.lines)
        spans = None if sentence.broken else self._spans(sentence)
        if tags is not None and not sentence.broken:
            origin = self._file.origin(sentence.line)
            words = tuple(sentence.words)
            yield Example(origin, sentence.text, words, tags, spans, self._group)

    def _spans(self, sentence: _Sentence) -> tuple[Span, ...] | None:
        if sentence.text is None:
            return None
        surfaces = token_spans(sentence.text, [form for form, _ in sentence.surfaces])
        if surfaces is None:
            message = "the words do not spell the sentence's # text"
            self._problem(sentence, sentence.line, message)
            return None
        return tuple(_word_spans(sentence, surfaces))

    def _problem(self, sentence: _Sentence, line: int, message: str) -> None:
        sentence.broken = True
        self._file.problem(line, message)


def _word_spans(sentence: _Sentence, surfaces: list[Span]) -> Iterator[Span]:
    at = 0
    for span, (_, count) in zip(surfaces, sentence.surfaces, strict=True):
        if count == 1:
            yield span
        else:
            yield from split_span(span, sentence.words[at : at + count])
        at += count
