"""From documents to annotations: check, tokenise, wait for the engine, finish. Knows no wire."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from polyhead_server.checks import DOCUMENTS, ITEMS
from polyhead_server.errors import InternalError, RequestError
from polyhead_server.reading import Reader, raise_together

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from polyhead_server.batcher import Batcher
    from polyhead_server.bundle import HeadSpec
    from polyhead_server.checks import Limits
    from polyhead_server.encoding import Document, Source
    from polyhead_server.heads import HeadOutput
    from polyhead_server.metrics import Metrics
    from polyhead_server.model import Job, Model, WindowOutput
    from polyhead_server.schedule import Answer

T = TypeVar("T")

_INLINE_CHARS = 20_000
"""Work on more code points than this goes to a thread, so that the event loop stays free."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of a request went, in seconds."""

    tokenize: float = 0.0
    queue: float = 0.0
    encode: float = 0.0
    heads: float = 0.0


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was found out about one document."""

    document: Document
    outputs: Mapping[str, HeadOutput]
    """By task."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """The answer to a request."""

    outcomes: tuple[Annotation | RequestError, ...]
    """One per document. Errors only where each document stands for itself."""
    heads: tuple[HeadSpec, ...]
    """In the order asked for."""
    bundle_version: str
    timings: Timings
    size: int
    """Code points of all documents."""


class Annotator:
    """Annotates documents with one model.

    Args:
        model: the loaded bundle.
        batcher: leads to the engine; its runs are the model's.
        limits: bounds on one request.
        metrics: is told of documents and stages.
    """

    def __init__(
        self,
        model: Model,
        batcher: Batcher[Job, WindowOutput],
        *,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self.bundle = model.bundle
        self.limits = limits
        self._model = model
        self._batcher = batcher
        self._metrics = metrics
        self._reader = Reader(model.tokenize, model.bundle.heads, limits)
        self._thread = ThreadPoolExecutor(1, "polyhead-text")

    def close(self) -> None:
        """End the thread for long texts."""
        self._thread.shutdown(cancel_futures=True)

    async def annotate(
        self, sources: Sequence[Source | None], tasks: Sequence[str], *, deadline: float
    ) -> Annotated:
        """Annotate documents that stand or fall together.

        Args:
            sources: the documents; None where one was given neither text nor words.
            tasks: names of heads, or "*" alone.
            deadline: event loop time after which the answer is of no use.

        Raises:
            InvalidRequestError: the request breaks the contract; every violation is named.
            QueueFullError: there is no room for it now.
            DeadlineExceededError: the deadline passed.
            DrainingError: the server is shutting down.
            InternalError: the engine failed.
        """
        checked = self._reader.check(sources, tasks, DOCUMENTS)
        raise_together(checked.violations, checked.sources)
        self._batcher.ensure_room()
        start = time.perf_counter()
        found = await self.work(
            checked.size, lambda: self._reader.tokenize(checked.sources, DOCUMENTS)
        )
        raise_together((), found)
        tokenize = time.perf_counter() - start
        documents = [item for item in found if not isinstance(item, RequestError)]
        outcomes, answer = await self._run(documents, checked.tasks, deadline, patient=False)
        return self._annotated(outcomes, checked.tasks, checked.size, _timings(tokenize, answer))

    async def annotate_items(
        self,
        sources: Sequence[Source | RequestError | None],
        tasks: Sequence[str],
        *,
        deadline: float,
    ) -> Annotated:
        """Annotate documents each of which stands for itself, once there is room for them.

        Args:
            sources: the documents; an error where one is known to be beyond help.
            tasks: names of heads, or "*" alone.
            deadline: event loop time after which the answer is of no use.

        Raises:
            InvalidRequestError: the tasks, or the number or total size of the items, break the
                contract, so that none can be annotated.
            DeadlineExceededError: the deadline passed.
            DrainingError: the server is shutting down.
        """
        checked = self._reader.check(sources, tasks, ITEMS)
        raise_together(checked.violations, ())
        start = time.perf_counter()
        found = await self.work(checked.size, lambda: self._reader.tokenize(checked.sources, ITEMS))
        timings = Timings(time.perf_counter() - start)
        documents = [item for item in found if not isinstance(item, RequestError)]
        annotated: tuple[Annotation | RequestError, ...] = ()
        if documents:
            annotated, answer = await self._run_apart(documents, checked.tasks, deadline)
            timings = _timings(timings.tokenize, answer)
        rest = iter(annotated)
        outcomes = tuple(item if isinstance(item, RequestError) else next(rest) for item in found)
        return self._annotated(outcomes, checked.tasks, checked.size, timings)

    async def work(self, size: int, function: Callable[[], T]) -> T:
        """Call a function: here where it works on few code points, else in a thread."""
        if size <= _INLINE_CHARS:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _run(
        self,
        documents: Sequence[Document],
        tasks: tuple[str, ...],
        deadline: float,
        *,
        patient: bool,
    ) -> tuple[tuple[Annotation | RequestError, ...], Answer[WindowOutput]]:
        jobs = [job for document in documents for job in self._model.jobs(document, tasks)]
        answer = await self._batcher.submit(jobs, deadline=deadline, patient=patient)
        size = sum(len(document.text) for document in documents)
        found = await self.work(size, lambda: self._finish(documents, answer.outputs, tasks))
        return found, answer

    async def _run_apart(
        self, documents: Sequence[Document], tasks: tuple[str, ...], deadline: float
    ) -> tuple[tuple[Annotation | RequestError, ...], Answer[WindowOutput] | None]:
        """Run documents together; where the engine fails each alone: none harms another."""
        try:
            return await self._run(documents, tasks, deadline, patient=True)
        except InternalError as error:
            if len(documents) == 1:
                return (error,), None
        alone = [await self._run_apart([one], tasks, deadline) for one in documents]
        return tuple(outcome for found, _ in alone for outcome in found), alone[-1][1]

    def _finish(
        self, documents: Sequence[Document], outputs: Sequence[WindowOutput], tasks: tuple[str, ...]
    ) -> tuple[Annotation, ...]:
        annotations = []
        first = 0
        for document in documents:
            end = first + len(document.windows)
            found = self._model.finish(document, outputs[first:end], tasks)
            annotations.append(Annotation(document, found))
            first = end
        return tuple(annotations)

    def _annotated(
        self,
        outcomes: tuple[Annotation | RequestError, ...],
        tasks: tuple[str, ...],
        size: int,
        timings: Timings,
    ) -> Annotated:
        good = [outcome.document for outcome in outcomes if isinstance(outcome, Annotation)]
        self._metrics.documents.inc(len(good))
        self._metrics.windows.inc(sum(len(document.windows) for document in good))
        self._metrics.stages(timings.tokenize, timings.queue)
        heads = tuple(self._reader.heads[task] for task in tasks)
        return Annotated(outcomes, heads, self.bundle.version, timings, size)


def _timings(tokenize: float, answer: Answer[WindowOutput] | None) -> Timings:
    if answer is None:
        return Timings(tokenize)
    return Timings(tokenize, answer.queue_seconds, answer.encode_seconds, answer.heads_seconds)
