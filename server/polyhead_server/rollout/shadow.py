"""Copies of the primary's work for shadows, and the comparison of the results.

Shadows are worked for one copy after the other, as bulk work and with engines that leave the
processors to others. What cannot be copied in time is dropped and counted; nothing that goes wrong
here reaches a caller.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from polyhead_server.annotator import Annotation
from polyhead_server.errors import RequestError
from polyhead_server.heads import ClassificationOutput, SpansOutput, TaggingOutput
from polyhead_server.schedule import Priority
from polyhead_server.tasks import stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.annotator import Annotated
    from polyhead_server.bundle import HeadSpec
    from polyhead_server.encoding import Source
    from polyhead_server.heads import HeadOutput
    from polyhead_server.rollout.figures import BundleFigures
    from polyhead_server.rollout.served import Served

_log = structlog.get_logger(__name__)

_MOST_CHARS = 262_144
"""Code points of copies that wait: more are dropped."""
_SECONDS = 10.0
"""Time that a copy may take."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """Documents to be done again."""

    shadow: Served
    sources: Sequence[Source]
    found: Sequence[Annotation]
    """What the primary found in them."""
    heads: Sequence[HeadSpec]
    """The primary's heads that were asked for."""

    @property
    def size(self) -> int:
        """Code points, more or less."""
        return sum(len(annotation.document.text) for annotation in self.found)


class Shadowing:
    """Has work done again by shadows.

    Args:
        figures: is told how results compare.
    """

    def __init__(self, figures: BundleFigures) -> None:
        self._figures = figures
        self._copies: deque[_Copy] = deque()
        self._chars = 0
        self._worker: asyncio.Task[None] | None = None

    def copy(
        self,
        shadow: Served,
        sources: Sequence[Source | RequestError | None],
        annotated: Annotated,
    ) -> None:
        """Have the documents of an answered call done again, some time."""
        copied = _copied(shadow, sources, annotated)
        if self._chars + copied.size > _MOST_CHARS:
            self._figures.copies.labels("dropped").inc(len(copied.sources))
            return
        self._chars += copied.size
        shadow.hold()
        self._copies.append(copied)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Drop what waits."""
        await stopped(self._worker)
        while self._copies:
            self._leave(self._copies.popleft())

    async def _work(self) -> None:
        while self._copies:
            copied = self._copies.popleft()
            try:
                await self._repeat(copied)
            except RequestError:
                self._figures.copies.labels("failed").inc(len(copied.sources))
            except Exception:  # noqa: BLE001 - callers must not notice shadows
                self._figures.copies.labels("failed").inc(len(copied.sources))
                _log.exception("shadow_failed")
            finally:
                self._leave(copied)

    def _leave(self, copied: _Copy) -> None:
        self._chars -= copied.size
        copied.shadow.let_go()

    async def _repeat(self, copied: _Copy) -> None:
        there = {head.name for head in copied.shadow.bundle.heads}
        heads = [head for head in copied.heads if head.name in there]
        if not heads or not copied.sources:
            return
        again = await copied.shadow.copyist.annotate_items(
            copied.sources,
            [head.name for head in heads],
            deadline=asyncio.get_running_loop().time() + _SECONDS,
            priority=Priority.BULK,
        )
        for ours, theirs in zip(copied.found, again.outcomes, strict=True):
            if isinstance(theirs, Annotation):
                self._compare(ours, heads, theirs, again.heads)
            result = "compared" if isinstance(theirs, Annotation) else "failed"
            self._figures.copies.labels(result).inc()

    def _compare(
        self,
        ours: Annotation,
        our_heads: Sequence[HeadSpec],
        theirs: Annotation,
        their_heads: Sequence[HeadSpec],
    ) -> None:
        for our, their in zip(our_heads, their_heads, strict=True):
            one = _found(ours.outputs[our.name], our)
            other = _found(theirs.outputs[their.name], their)
            self._figures.compared(our.name, agree=one == other)


def _copied(
    shadow: Served, sources: Sequence[Source | RequestError | None], annotated: Annotated
) -> _Copy:
    kept: list[tuple[Source, Annotation]] = [
        (source, outcome)
        for source, outcome in zip(sources, annotated.outcomes, strict=True)
        if isinstance(outcome, Annotation) and isinstance(source, str | tuple)
    ]
    return _Copy(
        shadow, [source for source, _ in kept], [found for _, found in kept], annotated.heads
    )


def _found(output: HeadOutput, head: HeadSpec) -> object:
    """What a head found, in its labels: equal where two heads found the same."""
    match output:
        case ClassificationOutput(index=index):
            return head.labels[index]
        case TaggingOutput(tags=tags):
            return [head.labels[tag] for tag in tags]
        case SpansOutput(spans=spans):
            return [(span.first, span.end, head.labels[span.label]) for span in spans]
