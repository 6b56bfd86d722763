"""The order of training: which examples go into which step, fixed by the seed alone.

Every step is a batch of one source. A source's batches hold texts of like length; the batches of
all sources are shuffled together, so that each is met in proportion to its passes and size, unless
another sampling is asked for. Since step k depends on nothing but the seed, a resumed run goes on
with the very same batches.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead_training.cutting import padded
from polyhead_training.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polyhead_training.config import SourceConfig

_JOIN_MOST = 3
"""Examples joined into one text."""
_BUCKET_BATCHES = 40
"""Batches whose texts are sorted by length together; more pads less but mixes less."""


@dataclass(frozen=True, slots=True)
class Course:
    """What of a source there is to learn from."""

    config: SourceConfig
    groups: Sequence[str]
    """Group of each training example: only neighbours of one group are joined."""
    lengths: Sequence[int]
    """Tokens of each training example."""


@dataclass(frozen=True, slots=True)
class Item:
    """One text to learn from: an example, or several joined."""

    examples: tuple[int, ...]
    """Indices into the source's training examples."""
    length: int
    """Its tokens, before augmentation."""


@dataclass(frozen=True, slots=True)
class Step:
    """One optimiser step."""

    source: int
    """Index of the source."""
    items: tuple[Item, ...]


_PROPORTIONAL = Sampling()


def make_plan(
    courses: Sequence[Course], batch_tokens: int, seed: int, sampling: Sampling = _PROPORTIONAL
) -> list[Step]:
    """Lay out all steps of a training run.

    Args:
        courses: one for each source.
        batch_tokens: padded tokens in a step; a longer text has a step of its own.
        seed: of the order.
        sampling: how the steps are shared among the sources; their number stays the same.
    """
    rngs = [random.Random(f"{seed}/{course.config.name}") for course in courses]
    parts = [
        _batches(_items(course, rng), batch_tokens, rng)
        for course, rng in zip(courses, rngs, strict=True)
    ]
    order = random.Random(f"{seed}/steps")
    if sampling.kind == "proportional":
        steps = [Step(index, batch) for index, part in enumerate(parts) for batch in part]
        order.shuffle(steps)
        return steps
    streams = [
        _on_and_on(course, batch_tokens, part, rng)
        for course, part, rng in zip(courses, parts, rngs, strict=True)
    ]
    sizes = [len(part) for part in parts]
    return [Step(index, next(streams[index])) for index in sampling.order(sizes, order)]


def _on_and_on(
    course: Course, batch_tokens: int, batches: list[tuple[Item, ...]], rng: random.Random
) -> Iterator[tuple[Item, ...]]:
    """A source's batches, then new ones from further passes, without end."""
    while True:
        yield from batches
        batches = _batches(_items(course, rng), batch_tokens, rng) or batches


def _items(course: Course, rng: random.Random) -> list[Item]:
    """All passes over a source, each in an order of its own; a broken pass takes its first part.

    One item at least: no source is passed over because it is small.
    """
    items: list[Item] = []
    left = course.config.passes
    while left > 0 and course.lengths:
        units = _joined(course, rng)
        rng.shuffle(units)
        items += units[: round(len(units) * min(left, 1.0)) or not items]
        left -= 1
    return items


def _joined(course: Course, rng: random.Random) -> list[Item]:
    """One pass: single examples, and runs of neighbours of one group where joining is on."""
    units: list[Item] = []
    index = 0
    while index < len(course.lengths):
        count = 1
        while count < _JOIN_MOST and _joins(course, index, index + count, rng):
            count += 1
        run = tuple(range(index, index + count))
        units.append(Item(run, sum(course.lengths[i] for i in run)))
        index += count
    return units


def _joins(course: Course, first: int, after: int, rng: random.Random) -> bool:
    """Whether an example is joined to those before it."""
    chance = course.config.augment.join
    return (
        chance > 0
        and after < len(course.lengths)
        and course.groups[after] == course.groups[first]
        and rng.random() < chance
    )


def _batches(
    items: Sequence[Item], batch_tokens: int, rng: random.Random
) -> list[tuple[Item, ...]]:
    mean = max(1, sum(item.length for item in items) // max(1, len(items)))
    bucket = max(1, _BUCKET_BATCHES * batch_tokens // mean)
    batches: list[tuple[Item, ...]] = []
    for start in range(0, len(items), bucket):
        part = sorted(items[start : start + bucket], key=lambda item: item.length)
        batches += map(tuple, padded(part, lambda item: item.length, batch_tokens))
    rng.shuffle(batches)
    return batches
