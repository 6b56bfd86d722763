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
from polyhead_server.recall import Wish
from polyhead_server.schedule import Priority
from polyhead_server.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from polyhead_server.batcher import Batcher
    from polyhead_server.bundle import HeadSpec
    from polyhead_server.cache import Outputs
    from polyhead_server.checks import Form, Limits
    from polyhead_server.encoding import Document, Source
    from polyhead_server.heads import HeadOutput
    from polyhead_server.metrics import Metrics
    from polyhead_server.model import Job, Model, WindowOutput
    from polyhead_server.reading import Checked
    from polyhead_server.recall import Recall

T = TypeVar("T")

_INLINE_CHARS = 20_000
"""Work on more code points than this goes to a thread, so that the event loop stays free."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a call is to be worked on."""

    deadline: float
    """Event loop time after which the answer is of no use."""
    priority: Priority
    patient: bool
    """Whether it waits for room instead of being refused, and leaves room to those who do not."""


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
        recall: spares documents that come again the engine; None runs every one.
    """

    def __init__(
        self,
        model: Model,
        batcher: Batcher[Job, WindowOutput],
        *,
        limits: Limits,
        metrics: Metrics,
        recall: Recall | None = None,
    ) -> None:
        self.bundle = model.bundle
        self.limits = limits
        self._model = model
        self._batcher = batcher
        self._metrics = metrics
        self._recall = recall
        self._reader = Reader(model.tokenize, model.bundle.heads, limits)
        self._tallies = metrics.tallies.of(model.bundle.heads)
        self._thread = ThreadPoolExecutor(1, "polyhead-text")

    def close(self) -> None:
        """End the thread for long texts."""
        self._thread.shutdown(wait=False, cancel_futures=True)  # what goes on there ends by itself

    async def annotate(
        self,
        sources: Sequence[Source | None],
        tasks: Sequence[str],
        *,
        deadline: float,
        priority: Priority = Priority.INTERACTIVE,
    ) -> Annotated:
        """Annotate documents that stand or fall together.

        Args:
            sources: the documents; None where one was given neither text nor words.
            tasks: names of heads, or "*" alone.
            deadline: event loop time after which the answer is of no use.
            priority: the lane to wait in.

        Raises:
            InvalidRequestError: the request breaks the contract; every violation is named.
            QueueFullError: there is no room for it now.
            HopelessError: so much waits that its deadline would pass.
            DeadlineExceededError: the deadline passed.
            DrainingError: the server is shutting down.
            InternalError: the engine failed.
        """
        checked = self._reader.check(sources, tasks, DOCUMENTS)
        raise_together(checked.violations, checked.sources)
        if self._recall is None:
            self._batcher.ensure_room(deadline, priority)
        found, tokenized = await self._tokenize(checked, DOCUMENTS)
        raise_together((), found)
        documents = [item for item in found if not isinstance(item, RequestError)]
        terms = Terms(deadline, priority, patient=False)
        outcomes, timings = await self._run(documents, checked.tasks, terms)
        return self._annotated(outcomes, checked, tokenized + timings, priority)

    async def annotate_items(
        self,
        sources: Sequence[Source | RequestError | None],
        tasks: Sequence[str],
        *,
        deadline: float,
        priority: Priority = Priority.BULK,
    ) -> Annotated:
        """Annotate documents each of which stands for itself, once there is room for them.

        Args:
            sources: the documents; an error where one is known to be beyond help.
            tasks: names of heads, or "*" alone.
            deadline: event loop time after which the answer is of no use.
            priority: the lane to wait in.

        Raises:
            InvalidRequestError: the tasks, or the number or total size of the items, break the
                contract, so that none can be annotated.
            DeadlineExceededError: the deadline passed.
            DrainingError: the server is shutting down.
        """
        checked = self._reader.check(sources, tasks, ITEMS)
        raise_together(checked.violations, ())
        found, timings = await self._tokenize(checked, ITEMS)
        documents = [item for item in found if not isinstance(item, RequestError)]
        annotated: tuple[Annotation | RequestError, ...] = ()
        if documents:
            terms = Terms(deadline, priority, patient=True)
            annotated, spent = await self._run_apart(documents, checked.tasks, terms)
            timings += spent
        rest = iter(annotated)
        outcomes = tuple(item if isinstance(item, RequestError) else next(rest) for item in found)
        return self._annotated(outcomes, checked, timings, priority)

    async def work(self, size: int, function: Callable[[], T]) -> T:
        """Call a function: here where it works on few code points, else in a thread."""
        if size <= _INLINE_CHARS:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _tokenize(
        self, checked: Checked, form: Form
    ) -> tuple[Sequence[Document | RequestError], Timings]:
        start = time.perf_counter()
        found = await self.work(checked.size, lambda: self._reader.tokenize(checked.sources, form))
        return found, Timings(time.perf_counter() - start, start=start)

    async def _run(
        self, documents: Sequence[Document], tasks: tuple[str, ...], terms: Terms
    ) -> tuple[tuple[Annotation | RequestError, ...], Timings]:
        async def fresh(some: Sequence[Document]) -> tuple[Sequence[Outputs], Timings]:
            return await self._run_fresh(some, tasks, terms)

        if self._recall is None:
            outputs, timings = await fresh(documents)
        else:
            humble = terms.patient or terms.priority is Priority.BULK
            wish = Wish(self.bundle.identity, frozenset(tasks), terms.deadline, humble)
            outputs, timings = await self._recall.run(documents, wish, fresh)
        return tuple(map(Annotation, documents, outputs)), timings

    async def _run_fresh(
        self, documents: Sequence[Document], tasks: tuple[str, ...], terms: Terms
    ) -> tuple[Sequence[Outputs], Timings]:
        jobs = [job for document in documents for job in self._model.jobs(document, tasks)]
        answer = await self._batcher.submit(
            jobs, deadline=terms.deadline, priority=terms.priority, patient=terms.patient
        )
        size = sum(len(document.text) for document in documents)
        found, seconds = await self.work(
            size, lambda: self._finish(documents, answer.outputs, tasks)
        )
        heads = answer.heads_seconds + seconds
        return found, Timings(0.0, answer.queue_seconds, answer.encode_seconds, heads)

    async def _run_apart(
        self, documents: Sequence[Document], tasks: tuple[str, ...], terms: Terms
    ) -> tuple[tuple[Annotation | RequestError, ...], Timings]:
        """Run documents together; where the engine fails each alone: none harms another."""
        try:
            return await self._run(documents, tasks, terms)
        except InternalError as error:
            if len(documents) == 1:
                return (error,), Timings()
        alone = [await self._run_apart([one], tasks, terms) for one in documents]
        outcomes = tuple(outcome for found, _ in alone for outcome in found)
        return outcomes, sum((timings for _, timings in alone), Timings())

    def _finish(
        self, documents: Sequence[Document], outputs: Sequence[WindowOutput], tasks: tuple[str, ...]
    ) -> tuple[Sequence[Outputs], float]:
        """Results, and the seconds that it took: heads of long documents run only here."""
        start = time.perf_counter()
        finished = []
        first = 0
        for document in documents:
            end = first + len(document.windows)
            finished.append(self._model.finish(document, outputs[first:end], tasks))
            first = end
        return finished, time.perf_counter() - start

    def _annotated(
        self,
        outcomes: tuple[Annotation | RequestError, ...],
        checked: Checked,
        timings: Timings,
        priority: Priority,
    ) -> Annotated:
        good = [outcome for outcome in outcomes if isinstance(outcome, Annotation)]
        windows = sum(len(outcome.document.windows) for outcome in good)
        metrics = self._metrics
        metrics.documents.inc(len(good))
        metrics.windows.inc(windows)
        metrics.stages(timings.tokenize, timings.queue, priority)
        outputs = [outcome.outputs for outcome in good]
        metrics.tallies.add(self._tallies, checked.tasks, outputs, windows)
        heads = tuple(self._reader.heads[task] for task in checked.tasks)
        return Annotated(outcomes, heads, self.bundle.version, timings, checked.size)
