"""The labelled texts of a head that is added: read, checked, and some set aside."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead_training.add_head_order import check_labels
from polyhead_training.data import SourceData
from polyhead_training.data.bio import OUTSIDE
from polyhead_training.data.files import DataFile
from polyhead_training.data.labels import LabelMap
from polyhead_training.data.load import read_examples
from polyhead_training.errors import TrainingError
from polyhead_training.leakage import find_leaks
from polyhead_training.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from polyhead_server.bundle import Kind
    from polyhead_training.add_head_order import HeadOrder
    from polyhead_training.config_types import HeadConfig, SourceConfig
    from polyhead_training.data import Example

DEV_SHARE, TEST_SHARE = 0.1, 0.15
"""Shares of the training texts that are set aside where no files are given."""

_LEAST_TO_SHARE = 4
"""Texts of a label of which one is set aside."""
_MOST_LABELS = 1000

HELD_OUT = "held-out"
"""Name of the measured part where it was set aside."""


@dataclass(frozen=True, slots=True)
class HeadData:
    """What a head is trained, tuned and measured on."""

    kind: Kind
    labels: tuple[str, ...]
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    measured: str
    """What the measured part is called: test, or held-out."""

    @property
    def untrained(self) -> list[str]:
        """Labels that no training text has."""
        seen = {label for example in self.train for label in _labels_of(example, self.kind)}
        return [label for label in self.labels if label not in seen]

    def leaked(self) -> int:
        """Training texts that the measured part has, too, or nearly."""
        part = SourceData(self.train, (), self.test)
        return sum(leak.kind != "short" for leak in find_leaks({"": part}))


class LearnedLabels(LabelMap):
    """Takes every label that the data have, and remembers it."""

    def __init__(self, source: SourceConfig, head: HeadConfig) -> None:
        super().__init__(source, head)
        self.found: set[str] = set()
        self._spans_wanted = head.kind == "spans"

    def label(self, raw: str, file: DataFile, line: int) -> str | None:
        """The label as it is; None, with a problem noted, where it is no text to speak of."""
        if not raw.strip():
            file.problem(line, "the label is empty")
            return None
        if not raw.isprintable():
            file.problem(line, "the label holds characters that cannot be printed")
            return None
        self.found.add(raw)
        return raw

    def tags(self, raw: list[str], file: DataFile, lines: list[int]) -> tuple[str, ...] | None:
        """One tag for each raw tag, or None where one has a problem."""
        if self._spans_wanted:
            return super().tags(raw, file, lines)
        found = [self.label(tag, file, line) for tag, line in zip(raw, lines, strict=True)]
        known = tuple(tag for tag in found if tag is not None)
        return known if len(known) == len(found) else None


def read_head_data(order: HeadOrder) -> HeadData:
    """Read all data of a head, and set aside what is not given.

    Raises:
        InputError: everything that is wrong with the files.
        TrainingError: they are too few, or have too few labels or too many.
    """
    problems = Problems()
    labels, train = _read_train(order, problems)
    given = {
        name: _read(order, file, _label_map(order, labels, strict=not len(problems)), problems)
        for name, file in (("dev", order.dev), ("test", order.test))
        if file is not None
    }
    problems.raise_if_any()
    check_labels(order.kind, labels)
    if len(labels) > _MOST_LABELS:
        field = order.reading.tags if order.kind == "tagging" else order.reading.label
        raise TrainingError(
            f'{order.data} has {len(labels):,} different labels: does "{field}" hold labels?'
        )
    rest = train
    for name, share in (("test", TEST_SHARE), ("dev", DEV_SHARE)):
        if name not in given:
            rest, given[name] = set_aside(rest, share, order.kind, f"{order.seed}:{name}")
    parts = (tuple(rest), tuple(given["dev"]), tuple(given["test"]))
    data = HeadData(order.kind, labels, *parts, HELD_OUT if order.test is None else "test")
    _check_parts(order, data)
    return data


def set_aside(
    examples: Sequence[Example], share: float, kind: Kind, seed: str
) -> tuple[list[Example], list[Example]]:
    """Divide texts into those that stay and those set aside, each label in like shares.

    Texts that are the same stay together. A label with very few texts keeps them all.

    Args:
        examples: the texts.
        share: of them that are set aside.
        kind: of the head.
        seed: chooses.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        groups[_key(example)].append(index)
    strata: dict[str, list[list[int]]] = defaultdict(list)
    counts = Counter(label for example in examples for label in set(_labels_of(example, kind)))
    for group in groups.values():
        strata[_stratum(_labels_of(examples[group[0]], kind), counts)].append(group)
    chosen: set[int] = set()
    for _, found in sorted(strata.items()):
        chosen.update(_some(found, share, random.Random(seed)))
    stay = [example for index, example in enumerate(examples) if index not in chosen]
    return stay, [examples[index] for index in sorted(chosen)]


def _some(groups: list[list[int]], share: float, rng: random.Random) -> list[int]:
    if len(groups) < _LEAST_TO_SHARE:
        return []
    wanted = max(1, round(share * sum(map(len, groups))))
    rng.shuffle(groups)
    found: list[int] = []
    for group in groups:
        if len(found) >= wanted:
            break
        found += group
    return found


def _key(example: Example) -> str:
    text = example.text if example.words is None else " ".join(example.words)
    return " ".join((text or "").split()).casefold()


def _stratum(labels: Sequence[str], counts: Counter[str]) -> str:
    """A text's label; of many, the rarest."""
    return min(labels, key=lambda label: (counts[label], label), default="")


def _labels_of(example: Example, kind: Kind) -> Sequence[str]:
    """A text's label or its words' tags; for spans the labels of the spans."""
    if isinstance(example.target, str):
        return (example.target,)
    return (
        [tag[2:] for tag in example.target if tag != OUTSIDE] if kind == "spans" else example.target
    )


def _read_train(order: HeadOrder, problems: Problems) -> tuple[tuple[str, ...], list[Example]]:
    labels = _label_map(order, order.labels, strict=bool(order.labels))
    train = _read(order, order.data, labels, problems)
    if isinstance(labels, LearnedLabels):
        return tuple(sorted(labels.found)), train
    return order.labels, train


def _label_map(order: HeadOrder, labels: tuple[str, ...], *, strict: bool) -> LabelMap:
    source, head = order.source(order.data), order.head(labels)
    return LabelMap(source, head) if strict else LearnedLabels(source, head)


def _read(order: HeadOrder, path: Path, labels: LabelMap, problems: Problems) -> list[Example]:
    file = DataFile(path, str(path), problems)
    before = len(problems)
    try:
        tagged = order.kind != "classification"
        found = list(read_examples(order.source(path), labels, file, tagged=tagged))
    except OSError as error:
        file.problem(1, f"cannot be read: {error.strerror or error}")
        return []
    if not found and len(problems) == before:
        file.problem(1, "has no examples")
    return found


def _check_parts(order: HeadOrder, data: HeadData) -> None:
    for name in ("train", "dev", "test"):
        if not getattr(data, name):
            option = "" if name == "train" else f": give more, or a file by --{name}"
            raise TrainingError(f"{order.data} has too few texts for a {name} part{option}")
    trained = [label for label in data.labels if label not in data.untrained]
    if order.kind != "spans" and len(trained) < 2:  # noqa: PLR2004 - as many as make a difference
        raise TrainingError(f"{order.data} has too few texts with different labels")
