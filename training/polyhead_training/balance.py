"""What a data set is made of: labels and their shares, lengths, and labels that never come."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from polyhead_training.config import Config, HeadConfig, SourceConfig
    from polyhead_training.data.examples import Example, SourceData

PARTS = ("train", "dev", "test")
_OUTSIDE = "O"


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of texts in words; a raw text's words are what stands between blanks."""

    mean: float
    median: int
    p95: int
    """Nineteen of twenty texts are no longer."""
    longest: int


@dataclass(frozen=True, slots=True)
class PartBalance:
    """One part of a source."""

    examples: int
    """Texts or sentences."""
    labels: Mapping[str, int]
    """How often each label comes, in the head's order: texts, tagged words, or spans."""
    outside: int
    """Words outside all spans; 0 for other kinds of head."""
    lengths: Lengths


@dataclass(frozen=True, slots=True)
class SourceBalance:
    """One source."""

    source: str
    head: str
    kind: str
    parts: Mapping[str, PartBalance]
    """By name; the parts that have examples."""
    entropy: float
    """Entropy of the training labels over that of equally many of each: 1 is balanced, 0 single."""
    imbalance: float
    """How many times the commonest training label comes for each time of the rarest that comes."""
    unseen: tuple[str, ...]
    """Labels that the source is said to tell apart, and that its training part has not."""
    dropped: int
    """Training examples left out because dev or test data have them."""


def balance(config: Config, data: Mapping[str, SourceData]) -> list[SourceBalance]:
    """Describe every source of a configuration, in its order."""
    return [
        source_balance(source, config.head(source.head), data[source.name])
        for source in config.sources
    ]


def source_balance(source: SourceConfig, head: HeadConfig, data: SourceData) -> SourceBalance:
    """Describe one source; `entropy` and `imbalance` are 0 without training labels."""
    among = source.among or head.labels
    found = {name: getattr(data, name) for name in PARTS}
    parts = {name: _part(examples, head, among) for name, examples in found.items() if examples}
    train = parts["train"].labels if "train" in parts else {}
    seen = [count for count in train.values() if count]
    return SourceBalance(
        source.name,
        head.name,
        head.kind,
        parts,
        _entropy(seen, len(among)),
        max(seen) / min(seen) if seen else 0.0,
        tuple(label for label in among if seen and not train.get(label)),
        data.dropped,
    )


def _part(examples: Sequence[Example], head: HeadConfig, among: Iterable[str]) -> PartBalance:
    counts = Counter(label for example in examples for label in _labels(example, head))
    outside = counts.pop(_OUTSIDE, 0) if head.kind == "spans" else 0
    labels = {label: counts[label] for label in among}
    return PartBalance(len(examples), labels, outside, _lengths(examples))


def _labels(example: Example, head: HeadConfig) -> Iterable[str]:
    """A text's label, its words' tags, or the label of each span and O of each word outside."""
    if isinstance(example.target, str):
        return (example.target,)
    if head.kind == "tagging":
        return example.target
    return [
        tag if tag == _OUTSIDE else tag[2:] for tag in example.target if not tag.startswith("I-")
    ]


def _lengths(examples: Iterable[Example]) -> Lengths:
    sizes = sorted(
        len(example.words if example.words is not None else (example.text or "").split())
        for example in examples
    )
    return Lengths(
        sum(sizes) / len(sizes),
        sizes[(len(sizes) - 1) // 2],
        sizes[math.ceil(0.95 * len(sizes)) - 1],
        sizes[-1],
    )


def _entropy(counts: Sequence[int], labels: int) -> float:
    total = sum(counts)
    if not total or labels < 2:  # noqa: PLR2004 - one label has no balance
        return 0.0
    return -sum(n / total * math.log(n / total) for n in counts) / math.log(labels) + 0.0


def warnings(config: Config, balances: Sequence[SourceBalance]) -> list[str]:
    """What looks wrong though it can be trained: labels that are never seen, or only measured."""
    seen = {(b.head, label) for b in balances for label in _seen(b, "train")}
    lines = [
        f'head "{head.name}": label "{label}" is in no training example'
        for head in config.heads
        for label in head.labels
        if (head.name, label) not in seen
    ]
    if not any(head.export for head in config.heads):
        lines.append("every head has export = false: there is no bundle, only a run (--no-export)")
    for each in balances:
        lines += _source_warnings(each, seen)
    return lines


def _source_warnings(each: SourceBalance, seen: set[tuple[str, str]]) -> list[str]:
    lines = [
        f'source "{each.source}": label "{label}" is in no training example of it; where the '
        "data set does not know the label, leave it out of among"
        for label in each.unseen
        if (each.head, label) in seen
    ]
    trained = _seen(each, "train")
    for part in ("dev", "test"):
        late = sorted(_seen(each, part) - trained) if trained else []
        lines += [
            f'source "{each.source}": label "{label}" is in {part} but not in train'
            for label in late
        ]
    return lines


def _seen(each: SourceBalance, part: str) -> set[str]:
    found = each.parts.get(part)
    return {label for label, count in found.labels.items() if count} if found else set()
