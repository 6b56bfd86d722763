"""The order of training: which examples go into which step, fixed by the seed alone.

Every step is a batch of one source. A source's batches hold texts of like length; the batches of
all sources are shuffled together, so that each is met in proportion to its passes and size. Since
step k depends on nothing but the seed, a resumed run goes on with the very same batches.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_training.config import SourceConfig
    from polyhead_training.data import Example

_PIECES_PER_WORD = 1.3
_PIECES_PER_CHAR = 0.25
_MARKS = 2
_JOIN_MOST = 3
"""Examples joined into one text."""
_BUCKET_BATCHES = 40
"""Batches whose texts are sorted by length together; more pads less but mixes less."""


@dataclass(frozen=True, slots=True)
class Item:
    """One text to learn from: an example, or several joined."""

    examples: tuple[int, ...]
    """Indices into the source's training examples."""
    length: int
    """Its sub-words, roughly."""


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step."""

    source: int
    """Index of the source."""
    items: tuple[Item, ...]


def make_plan(
    sources: Sequence[tuple[SourceConfig, Sequence[Example]]], batch_tokens: int, seed: int
) -> list[Step]:
    """Lay out all steps of a training run.

    Args:
        sources: each source with its training examples.
        batch_tokens: padded tokens in a step, roughly.
        seed: of the order.
    """
    steps: list[Step] = []
    for index, (config, examples) in enumerate(sources):
        rng = random.Random(f"{seed}/{config.name}")
        items = _items(config, examples, rng)
        steps += [Step(index, batch) for batch in _batches(items, batch_tokens, rng)]
    random.Random(f"{seed}/steps").shuffle(steps)
    return steps


def _items(
    config: SourceConfig, examples: Sequence[Example], rng: random.Random
) -> list[Item]:
    """All passes over a source, each in an order of its own; a broken pass takes its first part."""
    items: list[Item] = []
    left = config.passes
    while left > 0 and examples:
        units = _joined(config, examples, rng)
        rng.shuffle(units)
        items += units[: round(len(units) * min(left, 1.0))]
        left -= 1
    return items


def _joined(
    config: SourceConfig, examples: Sequence[Example], rng: random.Random
) -> list[Item]:
    """One pass: single examples, and runs of neighbours of one group where joining is on."""
    units: list[Item] = []
    index = 0
    while index < len(examples):
        count = 1
        while (
            config.augment.join
            and count < _JOIN_MOST
            and index + count < len(examples)
            and examples[index + count].group == examples[index].group
            and rng.random() < config.augment.join
        ):
            count += 1
        run = tuple(range(index, index + count))
        units.append(Item(run, sum(rough_length(examples[i]) for i in run)))
        index += count
    return units


def rough_length(example: Example) -> int:
    """About how many tokens an example has."""
    if example.words is not None:
        return int(len(example.words) * _PIECES_PER_WORD) + _MARKS
    return int(len(example.text or "") * _PIECES_PER_CHAR) + _MARKS


def _batches(
    items: Sequence[Item], batch_tokens: int, rng: random.Random
) -> list[tuple[Item, ...]]:
    mean = max(1, sum(item.length for item in items) // max(1, len(items)))
    bucket = max(1, _BUCKET_BATCHES * batch_tokens // mean)
    batches: list[tuple[Item, ...]] = []
    for start in range(0, len(items), bucket):
        part = sorted(items[start : start + bucket], key=lambda item: item.length)
        batches += _cut(part, batch_tokens)
    rng.shuffle(batches)
    return batches


def _cut(items: Sequence[Item], batch_tokens: int) -> list[tuple[Item, ...]]:
    """Cut texts sorted by length so that count times longest stays within the budget."""
    batches: list[tuple[Item, ...]] = []
    start = 0
    for end in range(1, len(items) + 1):
        full = end == len(items) or (end + 1 - start) * items[end].length > batch_tokens
        if full:
            batches.append(tuple(items[start:end]))
            start = end
    return batches
