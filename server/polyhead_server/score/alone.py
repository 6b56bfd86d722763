"""Scores fragments one after the other in this process, with all its processors in one engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_server.score.work import Scorer

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from polyhead_server.score.fragments import Fragment
    from polyhead_server.score.journal import Done
    from polyhead_server.score.order import Order


def score_alone(
    order: Order, fragments: Sequence[Fragment], threads: int
) -> Generator[Done, None, None]:
    """Score fragments.

    Args:
        order: what is asked for.
        fragments: those that are not finished.
        threads: of the engine.

    Yields:
        What became of each, once it is finished.
    """
    with Scorer(order, threads) as scorer:
        for fragment in fragments:
            yield scorer.score(fragment)
