"""How seldom a span follows right behind another of its label, for the decoding of spans."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def adjacent_cost(sentences: Iterable[Sequence[str]]) -> float:
    """Log odds against a new span where one of the same label could go on.

    Counted over the word pairs in which a span of a label is followed by a word of that label: the
    second word goes on with the span, or begins another.

    Args:
        sentences: BIO tags of each.

    Returns:
        The cost in nats, at least 0; the counts are smoothed by half an occurrence each.
    """
    begins = goes_on = 0
    for tags in sentences:
        for before, tag in pairwise(tags):
            if tag != "O" and before[2:] == tag[2:]:
                begins += tag.startswith("B-")
                goes_on += tag.startswith("I-")
    return max(0.0, math.log((goes_on + 0.5) / (begins + 0.5)))
