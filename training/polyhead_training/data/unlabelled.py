"""Texts without labels, from which a student learns what its teachers say."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from polyhead_server.words import WordSplitter, default_lexicon
from polyhead_training.config_types import SourceConfig
from polyhead_training.data.examples import Example
from polyhead_training.data.files import DataFile
from polyhead_training.data.rows import VISIBLE, read_texts

_LONGEST_SENTENCE = 200
"""Words of a text that are read: the teacher's sentences are shorter than this, too."""


def read_unlabelled(file: DataFile, source: SourceConfig, *, tagged: bool) -> Iterator[Example]:
    """Yield one example a text; with its words, by the splitter that serves, where `tagged`."""
    splitter = WordSplitter(default_lexicon())
    texts = read_texts(file, source.text) if source.format == "jsonl" else _lines(file)
    for number, text in texts:
        origin = file.origin(number)
        if not tagged:
            yield Example(origin, text, None, "", None, file.name)
            continue
        words = tuple(text[start:end] for start, end in splitter.split(text))
        words = words[:_LONGEST_SENTENCE]
        yield Example(origin, None, words, ("",) * len(words), None, file.name)


def without_labels(sentences: Iterable[Example], *, tagged: bool) -> Iterator[Example]:
    """Yield sentences of words as what a teacher is asked about: the words, or their text."""
    for each in sentences:
        if tagged:
            yield replace(each, text=None, spans=None)
        else:
            text = each.text or " ".join(each.words or ())
            yield replace(each, text=text, words=None, target="", spans=None)


def _lines(file: DataFile) -> Iterator[tuple[int, str]]:
    for number, line in file.lines():
        if VISIBLE.search(line):
            yield number, line
