"""Loads the sources of a config, and reports everything that is wrong with their files at once."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from polyhead_training.augment_mentions import collect_mentions
from polyhead_training.config import Config, HeadConfig, SourceConfig, read_config
from polyhead_training.data.conll import read_conll
from polyhead_training.data.conllu import read_conllu
from polyhead_training.data.examples import Example, SourceData
from polyhead_training.data.files import DataFile, read_whole
from polyhead_training.data.guard import guarded
from polyhead_training.data.hub import hub_reader
from polyhead_training.data.labels import LabelMap
from polyhead_training.data.replacements import Mentions, Replacements, load_replacements
from polyhead_training.data.rows import read_csv, read_jsonl
from polyhead_training.data.unlabelled import read_unlabelled, without_labels
from polyhead_training.data.varied import with_copies
from polyhead_training.problems import Problems


def load_inputs(config_path: Path, root: Path) -> tuple[Config, dict[str, SourceData]]:
    """Read a config and its data; raises `InputError` with the problems of both together."""
    problems = Problems()
    config = read_config(config_path, problems)
    data = _load(config, root, problems) if config else {}
    problems.raise_if_any()
    assert config is not None  # noqa: S101 - read_config noted a problem otherwise
    return config, data


def load_all(config: Config, root: Path) -> dict[str, SourceData]:
    """The data of every source by its name; raises `InputError` with every problem found.

    `root` is the directory that the config's file names are relative to.
    """
    problems = Problems()
    data = _load(config, root, problems)
    problems.raise_if_any()
    return data


def _load(config: Config, root: Path, problems: Problems) -> dict[str, SourceData]:
    data = {
        source.name: load_source(source, config.head(source.head), root, problems, seed=config.seed)
        for source in config.sources
    }
    known = load_replacements(config, root, problems)
    for source in config.sources:
        if source.vary.copies:
            data[source.name] = _varied(data[source.name], source, known, config.seed)
    data = guarded(config, data, problems)
    for source in config.sources:
        if source.augment.mention:
            before = known.get(source.name, Replacements())
            known[source.name] = replace(before, mentions=_mentions(config, source.head, data))
    return {**data, **{name: replace(data[name], replacements=known[name]) for name in known}}


def _varied(
    data: SourceData, source: SourceConfig, known: Mapping[str, Replacements], seed: int
) -> SourceData:
    """With changed copies of its texts, which replacements by classes have gone into already."""
    usual = known[source.name].usual if source.name in known else {}
    return replace(
        data, train=with_copies(data.train, source.vary, usual, f"{seed}:{source.name}:vary")
    )


def _mentions(config: Config, head: str, data: Mapping[str, SourceData]) -> Mentions:
    """The spans of all training examples of a head."""
    named = [source.name for source in config.sources if source.head == head]
    return collect_mentions(example for name in named for example in data[name].train)


def load_source(
    source: SourceConfig, head: HeadConfig, root: Path, problems: Problems, *, seed: int = 0
) -> SourceData:
    """Read all files of a source; examples with a problem are noted and left out.

    `seed` chooses the training examples where the source limits their number.
    """
    labels = LabelMap(source, head)
    reader = hub_reader if source.hub else _file_reader
    read = reader(source, head, labels, root, problems)
    train, dev, test = (
        tuple(example for name in names for example in read(name))
        for names in (source.train, source.dev, source.test)
    )
    train, held = _hold_out(train, source, seed)
    return SourceData(_sample(train, source, seed), (*dev, *held), test)


def _file_reader(
    source: SourceConfig, head: HeadConfig, labels: LabelMap, root: Path, problems: Problems
) -> Callable[[str], list[Example]]:
    """What reads the examples of one of a source's files."""
    tagged = head.kind != "classification"

    def read(name: str) -> list[Example]:
        before = len(problems)
        file = DataFile(root / name, str(root / name), problems)
        named = source.config, source.lines.get(name, 1)
        examples = read_whole(file, read_examples(source, labels, file, tagged=tagged), named)
        if not examples and len(problems) == before:
            file.problem(1, "has no examples")
        return examples

    return read


def read_examples(
    source: SourceConfig, labels: LabelMap, file: DataFile, *, tagged: bool
) -> Iterator[Example]:
    """Read the examples of a file in the source's format; `tagged` have a tag for every word."""
    match source.format:
        case "jsonl" if not source.unlabelled:
            return read_jsonl(file, source, labels, tagged=tagged)
        case "csv":
            return read_csv(file, source, labels)
        case "conllu":
            sentences = read_conllu(file, str(source.column or "upos"), labels)
        case "conll":
            column = -1 if source.column == "" else int(source.column)
            sentences = read_conll(file, column, labels)
        case _:
            return read_unlabelled(file, source, tagged=tagged)
    return without_labels(sentences, tagged=tagged) if source.unlabelled else sentences


def _sample(examples: tuple[Example, ...], source: SourceConfig, seed: int) -> tuple[Example, ...]:
    """A seeded choice in file order, so that neighbours of one document stay in order."""
    if not source.max_examples or len(examples) <= source.max_examples:
        return examples
    order = list(range(len(examples)))
    # A fixed choice of examples, nothing secret.
    random.Random(f"{seed}:{source.name}").shuffle(order)
    return tuple(examples[index] for index in sorted(order[: source.max_examples]))


def _hold_out(
    examples: tuple[Example, ...], source: SourceConfig, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Set a seeded choice of training examples aside for validation; at most half of them."""
    count = min(source.hold_out, len(examples) // 2)
    # A fixed choice of examples, nothing secret.
    chosen = set(random.Random(f"{seed}:{source.name}:held").sample(range(len(examples)), count))
    kept = tuple(example for index, example in enumerate(examples) if index not in chosen)
    return kept, tuple(examples[index] for index in sorted(chosen))
