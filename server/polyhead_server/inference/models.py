"""The heads of a bundle as models of the Open Inference Protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from polyhead_server.checks import shown
from polyhead_server.errors import NotFoundError
from polyhead_server.inference.outputs import PARTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyhead_server.bundle import Bundle, HeadSpec
    from polyhead_server.inference.outputs import Part
    from polyhead_server.inference.tensors import Datatype

_log = structlog.get_logger(__name__)

ALL_TASKS = "polyhead"
"""The model of all heads. A head of the same name is reached through it alone."""
TEXT = "text"
"""The one input of every model."""
ANY_NUMBER = -1
"""The size of a dimension that the caller decides."""


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output of a model."""

    name: str
    head: HeadSpec
    part: Part

    @property
    def datatype(self) -> Datatype:
        """Data type of its elements."""
        return self.part.datatype

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape: [texts], or [texts, labels]."""
        return (ANY_NUMBER, len(self.head.labels)) if self.part.wide else (ANY_NUMBER,)


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model."""

    name: str
    version: str
    heads: tuple[HeadSpec, ...]
    outputs: Mapping[str, OutputSpec]
    """By name, in order."""


class Catalog:
    """The models of one bundle: each head by its name, and all of them as `ALL_TASKS`.

    A head that is called `ALL_TASKS` is no model of its own: clients know the model of all heads
    by that name whatever is served. Its outputs are there, as `polyhead.label` and so on, and
    polyhead's own API has it as any other; so the bundle is served, and the log warns.

    Args:
        bundle: what is served.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        heads = bundle.heads
        self.models = {head.name: _model(head.name, bundle, (head,), "") for head in heads}
        if ALL_TASKS in self.models:
            _log.warning("no_model_of_its_own", head=ALL_TASKS, bundle=bundle.name)
        self.models[ALL_TASKS] = _model(ALL_TASKS, bundle, heads, "{head}.")

    def find(self, name: str, version: str = "") -> ServedModel:
        """The model of that name; no version stands for the one that is served.

        Raises:
            NotFoundError: there is no such model, or not in this version.
        """
        model = self.models.get(name)
        if model is None:
            known = ", ".join(repr(known) for known in self.models)
            raise NotFoundError(
                f"Request for unknown model: {shown(name)} is not found; there are {known}"
            )
        if version not in ("", model.version):
            raise NotFoundError(
                f"Request for unknown model: {shown(name)} version {shown(version)} is not found; "
                f"there is version {model.version!r}"
            )
        return model

    def has(self, name: str, version: str) -> bool:
        """Whether there is such a model in this version."""
        model = self.models.get(name)
        return model is not None and version in ("", model.version)


def _model(name: str, bundle: Bundle, heads: tuple[HeadSpec, ...], prefix: str) -> ServedModel:
    outputs = [
        OutputSpec(prefix.format(head=head.name) + part, head, spec)
        for head in heads
        for part, spec in PARTS[head.kind].items()
    ]
    return ServedModel(name, bundle.version, heads, {output.name: output for output in outputs})
