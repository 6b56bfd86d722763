"""Spans of training examples in whose place others of their label stand (mention replacement).

The words of a span change and their tags do not, so labels stay right, and an encoder learns where
names stand from more names than the data have in these places (Dai and Adel 2020).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from polyhead_training.metrics import tag_spans

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from polyhead_server.encoding import Source
    from polyhead_training.config_types import AugmentConfig
    from polyhead_training.data.examples import Example
    from polyhead_training.data.replacements import Mentions, Replacements


def collect_mentions(examples: Iterable[Example]) -> Mentions:
    """The spans of examples, each once, by label and number of words."""
    found: defaultdict[tuple[str, int], dict[tuple[str, ...], None]] = defaultdict(dict)
    for example in examples:
        if example.words is not None:
            for start, end, label in tag_spans(example.target):
                found[label, end - start][example.words[start:end]] = None
    return {key: tuple(mentions) for key, mentions in found.items()}


def replace_mentions(
    source: Source,
    config: AugmentConfig,
    rng: random.Random,
    tags: Sequence[str] | None,
    known: Replacements,
) -> Source:
    """Put others of the same label and as many words in the place of spans.

    Args:
        source: text, which stays as it is, or words.
        config: the chance of each span.
        rng: is asked only where the chance is not 0.
        tags: the BIO tag of each word, None without.
        known: what may stand in place of a span.
    """
    if not config.mention or tags is None or isinstance(source, str):
        return source
    words = list(source)
    for start, end, label in tag_spans(tags):
        others = known.mentions.get((label, end - start), ())
        if others and rng.random() < config.mention:
            words[start:end] = rng.choice(others)
    return tuple(words)
