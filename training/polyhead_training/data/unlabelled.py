"""Texts without labels, from which a student learns what its teachers say."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from polyhead_server.words import WordSplitter, default_lexicon
from polyhead_training.config_types import SourceConfig
from polyhead_training.data.examples import Example
from polyhead_training.data.files import DataFile
from polyhead_training.data.rows import VISIBLE, read_words_or_texts

_LONGEST_SENTENCE = 200
"""Words of a text that are read: the teacher's sentences are shorter than this, too."""


def read_unlabelled(file: DataFile, source: SourceConfig, *, tagged: bool) -> Iterator[Example]:
    """Yield one example a text; with its words where `tagged`.

    These are the words of a row that has them, as rows with labels do, else those of the splitter
    that serves.
    """
    splitter = WordSplitter(default_lexicon())
    for number, found in _rows(file, source):
        origin = file.origin(number)
        if isinstance(found, str) and not tagged:
            yield Example(origin, found, None, "", None, file.name)
            continue
        words = tuple(_split(splitter, found) if isinstance(found, str) else found)
        yield Example(origin, None, words, ("",) * len(words) if tagged else "", None, file.name)


def _split(splitter: WordSplitter, text: str) -> list[str]:
    return [text[start:end] for start, end in splitter.split(text)][:_LONGEST_SENTENCE]


def without_labels(sentences: Iterable[Example], *, tagged: bool) -> Iterator[Example]:
    """Yield sentences of words as what a teacher is asked about: the words, or their text."""
    for each in sentences:
        if tagged:
            yield replace(each, text=None, spans=None)
        else:
            text = each.text or " ".join(each.words or ())
            yield replace(each, text=text, words=None, target="", spans=None)


def _rows(file: DataFile, source: SourceConfig) -> Iterator[tuple[int, str | list[str]]]:
    if source.format == "jsonl":
        return read_words_or_texts(file, source.text, source.words)
    return _lines(file)


def _lines(file: DataFile) -> Iterator[tuple[int, str]]:
    for number, line in file.lines():
        if VISIBLE.search(line):
            yield number, line
