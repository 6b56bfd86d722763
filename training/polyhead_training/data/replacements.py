"""What training examples' words may be replaced by: synonyms, forms of a lemma, other spans."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from polyhead_training.data.files import DataFile, read_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from polyhead_training.config_types import Config, SourceConfig
    from polyhead_training.problems import Problems

_T = TypeVar("_T")

Mentions = Mapping[tuple[str, int], tuple[tuple[str, ...], ...]]
"""Spans as they are written, by label and number of words."""

INFLECTED = frozenset(("NOUN", "VERB", "ADJ", "ADV"))
"""Universal tags of the words that are replaced by other forms of their lemma."""
_COLUMNS = 10
_ODD = re.compile(r"Typo=Yes|Style=|Abbr=Yes")
"""Features of words that are misspelt, stretched for expression, or shortened."""


@dataclass(frozen=True, slots=True)
class Replacements:
    """Words in lower case with what may stand in their place."""

    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Words, or phrases, of like meaning."""
    forms: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Other forms of the same lemma, by form and universal tag."""
    usual: Mapping[str, str] = field(default_factory=dict)
    """The tag that a form has most often."""
    mentions: Mentions = field(default_factory=dict)
    """What may stand in place of a span."""

    def synonyms_of(self, word: str) -> tuple[str, ...]:
        """The synonyms of a word in lower case."""
        return self.synonyms.get(word, ())

    def forms_of(self, word: str, tag: str | None) -> tuple[str, ...]:
        """The other forms of a word in lower case that has a tag, None for its usual one."""
        return self.forms.get((word, self.usual.get(word, "") if tag is None else tag), ())


def read_synonyms(file: DataFile) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each word with its synonyms, from lines of ``word<TAB>synonym,synonym``.

    Blank lines are passed over; other lines are noted. Raises OSError where it cannot be opened.
    """
    for number, line in file.lines():
        if not line.strip():
            continue
        word, tab, rest = line.partition("\t")
        found = [part.strip().lower() for part in rest.split(",")]
        if not tab or "\t" in rest:
            file.problem(number, "must be a word, one TAB, and synonyms with commas between")
        elif not word.strip() or not all(found):
            file.problem(number, "has an empty word or synonym")
        else:
            yield word.strip().lower(), tuple(found)


def read_forms(file: DataFile) -> Iterator[tuple[str, str, str]]:
    """Yield form, lemma and universal tag of each word of a CoNLL-U file that has an inflection.

    Misspelt, stretched and shortened words are left out. Raises OSError where it cannot be opened.
    """
    for number, line in file.lines():
        if not line.strip() or line.startswith("#"):
            continue
        columns = line.split("\t")
        if len(columns) != _COLUMNS:
            message = f"has {len(columns)} columns, CoNLL-U has {_COLUMNS} with a TAB between"
            file.problem(number, message)
            continue
        identifier, form, lemma, tag, _, features = columns[:6]
        plain = form.isalpha() and lemma.isalpha() and not _ODD.search(features)
        if identifier.isdecimal() and tag in INFLECTED and plain:
            yield form.lower(), lemma.lower(), tag


def build_replacements(
    synonyms: Iterable[tuple[str, tuple[str, ...]]], forms: Iterable[tuple[str, str, str]]
) -> Replacements:
    """Put together what the readers found; an entry that comes twice adds up."""
    alike: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for word, others in synonyms:
        alike[word].update(dict.fromkeys(other for other in others if other != word))
    counts = Counter(forms)
    return Replacements(
        {word: tuple(others) for word, others in alike.items() if others},
        _other_forms(counts),
        _usual_tags(counts),
    )


def _other_forms(
    counts: Mapping[tuple[str, str, str], int],
) -> dict[tuple[str, str], tuple[str, ...]]:
    lemmas: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for form, lemma, tag in sorted(counts):
        lemmas[lemma, tag].update({form: None, lemma: None})
    others: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for (_, tag), forms in lemmas.items():
        for form in forms:
            others[form, tag].update(dict.fromkeys(other for other in forms if other != form))
    return {key: tuple(found) for key, found in others.items() if found}


def _usual_tags(counts: Mapping[tuple[str, str, str], int]) -> dict[str, str]:
    tags: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for (form, _, tag), count in sorted(counts.items()):
        tags[form][tag] += count
    return {form: found.most_common(1)[0][0] for form, found in tags.items()}


def load_replacements(config: Config, root: Path, problems: Problems) -> dict[str, Replacements]:
    """What words may be replaced by, for each source whose training examples want it.

    Synonyms come from the files that ``[augmentation]`` names, forms and their classes from those
    and from all CoNLL-U training files. Nothing is read where no source replaces words.
    """
    wanting = [source.name for source in config.sources if source.train and _replaces(source)]
    if not wanting:
        return {}
    words = config.augmentation
    synonyms, forms = (
        [(name, (str(config.path), words.lines.get(name, 1))) for name in names]
        for names in (words.synonyms, words.forms)
    )
    for source in config.sources:
        if source.format == "conllu":
            forms += [(name, (source.config, source.lines.get(name, 1))) for name in source.train]
    known = build_replacements(
        _read_all(synonyms, root, problems, read_synonyms),
        _read_all(forms, root, problems, read_forms),
    )
    return dict.fromkeys(wanting, known)


def _replaces(source: SourceConfig) -> bool:
    varies = source.vary.copies and source.vary.words
    return bool(source.augment.synonym or source.augment.lemma or varies)


def _read_all(
    files: Iterable[tuple[str, tuple[str, int]]],
    root: Path,
    problems: Problems,
    reader: Callable[[DataFile], Iterator[_T]],
) -> list[_T]:
    found: list[_T] = []
    for name, named in files:
        file = DataFile(root / name, str(root / name), problems)
        found += read_whole(file, reader(file), named)
    return found
