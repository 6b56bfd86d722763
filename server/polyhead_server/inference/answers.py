"""From an understood request through the annotator to output tensors; the same for both wires."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead_server.errors import InvalidRequestError, RequestError, Violation
from polyhead_server.inference.models import TEXT, Catalog
from polyhead_server.inference.outputs import Batch, best_classes
from polyhead_server.inference.requests import UNITS, understand
from polyhead_server.inference.statistics import Statistics
from polyhead_server.inference.tensors import Tensor
from polyhead_server.reading import raise_together
from polyhead_server.schedule import Priority

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from polyhead_server.annotator import Annotated, Annotation
    from polyhead_server.calls import Call
    from polyhead_server.inference.models import ServedModel
    from polyhead_server.inference.requests import InferRequest, Parameter, Wanted, Work
    from polyhead_server.inference.statistics import ModelRecord
    from polyhead_server.offsets import Unit
    from polyhead_server.rollout.roster import Roster

_UNIT_NAMES = {unit: name for name, unit in UNITS.items()}
_DOCUMENT = re.compile(r"(?:documents|items)(\[\d+\])?(?:\.document)?(?:\.text)?")
"""How the annotator names a text; callers of this protocol know it as an element of the input."""


@dataclass(frozen=True, slots=True)
class InferAnswer:
    """The answer to an inference request, for either wire."""

    model: str
    version: str
    id: str
    parameters: Mapping[str, Parameter]
    tensors: tuple[Tensor, ...]


class Inference:
    """Answers inference requests with the primary bundle.

    Args:
        annotator: does the work.
        ready: whether the server takes calls.
    """

    def __init__(self, annotator: Roster, ready: Callable[[], bool]) -> None:
        self.annotator = annotator
        self.ready = ready
        self.statistics = Statistics()
        self._catalog = Catalog(annotator.bundle)

    @property
    def catalog(self) -> Catalog:
        """The models of the bundle that is served now."""
        if self._catalog.bundle is not self.annotator.bundle:
            self._catalog = Catalog(self.annotator.bundle)
        return self._catalog

    def records(self, name: str, version: str) -> list[tuple[ServedModel, ModelRecord]]:
        """What a model has done; no name stands for all models.

        Raises:
            NotFoundError: there is no such model.
        """
        catalog = self.catalog
        models = [catalog.find(name, version)] if name else catalog.models.values()
        return [(model, self.statistics.read(model.name)) for model in models]

    async def infer(
        self, request: InferRequest, call: Call, *, deadline: float, patient: bool = False
    ) -> InferAnswer:
        """Answer a request.

        Args:
            request: what came.
            call: the call that it came with, or its stream.
            deadline: event loop time after which the answer is of no use.
            patient: wait for room rather than be refused.

        Raises:
            NotFoundError: there is no such model.
            InvalidRequestError: the request breaks the contract.
            QueueFullError: there is no room for it now.
            DeadlineExceededError: the deadline or the request's timeout passed.
            DrainingError: the server is shutting down.
            InternalError: the engine failed.
        """
        model = self.catalog.find(request.model, request.version)
        with self.statistics.of(model.name) as record:
            start = time.perf_counter()
            work = understand(request, model, self.annotator.limits)
            if work.timeout is not None:
                deadline = min(deadline, asyncio.get_running_loop().time() + work.timeout)
            size = sum(map(len, work.texts))
            if patient:
                await call.pace(lambda: size, deadline)
                work = self._still(request, work)
            else:
                call.charge(lambda: size)
            annotated = await self._annotated(work, deadline, patient=patient)
            call.count(annotated)
            answer = await self.annotator.work(
                annotated.size, lambda: _answer(request, work, annotated)
            )
            record(len(work.texts), annotated.timings, time.perf_counter() - start)
            return answer

    def _still(self, request: InferRequest, work: Work) -> Work:
        """What a request means after a wait: another bundle may be served since.

        Raises:
            NotFoundError: there is no such model any more.
            InvalidRequestError: it breaks the contract of the one there is.
        """
        if self.catalog.models.get(work.model.name) is work.model:
            return work
        model = self.catalog.find(request.model, request.version)
        return understand(request, model, self.annotator.limits)

    async def _annotated(self, work: Work, deadline: float, *, patient: bool) -> Annotated:
        annotate = self.annotator.annotate_items if patient else self.annotator.annotate
        lane = work.priority
        if lane is None:
            lane = Priority.BULK if patient else Priority.INTERACTIVE
        try:
            annotated = await annotate(work.texts, work.tasks, deadline=deadline, priority=lane)
            raise_together((), annotated.outcomes)
        except InvalidRequestError as error:
            raise InvalidRequestError([_renamed(v) for v in error.violations]) from None
        return annotated


def _renamed(violation: Violation) -> Violation:
    name = _DOCUMENT.sub(lambda match: TEXT + (match[1] or ""), violation.field, count=1)
    return Violation(name, violation.description)


def _answer(request: InferRequest, work: Work, annotated: Annotated) -> InferAnswer:
    found = [outcome for outcome in annotated.outcomes if not isinstance(outcome, RequestError)]
    batch = Batch(found, work.unit)
    return InferAnswer(
        model=work.model.name,
        version=annotated.bundle_version,
        id=request.id,
        parameters=_parameters(annotated, found, work.unit),
        tensors=tuple(_tensor(wanted, batch) for wanted in work.wanted),
    )


def _parameters(annotated: Annotated, found: list[Annotation], unit: Unit) -> dict[str, Parameter]:
    stages = annotated.timings.stages()
    return {
        "offset_unit": _UNIT_NAMES[unit],
        "windows": sum(len(annotation.document.windows) for annotation in found),
        "tokens": sum(annotation.document.tokens for annotation in found),
        **{f"{name}_seconds": seconds for name, seconds in stages},
    }


def _tensor(wanted: Wanted, batch: Batch) -> Tensor:
    spec = wanted.spec
    texts = len(batch.annotations)
    values = spec.part.fill(batch, spec.head)
    if wanted.classes and not isinstance(values, list):
        best = best_classes(values, spec.head.labels, wanted.classes)
        return Tensor(spec.name, "BYTES", (texts, wanted.classes), best)
    return Tensor(spec.name, spec.datatype, (texts, *spec.shape[1:]), values)
