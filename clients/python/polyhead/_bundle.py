"""What the server says about its bundle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class HeadKind(StrEnum):
    """What a head gives out; it decides the type of a task's result."""

    CLASSIFICATION = "classification"
    """One label per document: `Classification`."""
    TAGGING = "tagging"
    """One tag per word: `Tagging`."""
    SPANS = "spans"
    """Labelled runs of words: `Spans`."""
    UNKNOWN = "unknown"
    """A kind that this client is too old for."""


class Health(StrEnum):
    """Whether a server takes calls."""

    SERVING = "serving"
    NOT_SERVING = "not_serving"
    """It is starting, draining or broken."""
    UNKNOWN = "unknown"
    """It does not say, or does not know the annotation service."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure of a head, by the engine that serves it.

    Attributes:
        data_set: The data set, such as `"ud-ewt"`.
        split: The part of it, such as `"test"`.
        metric: The measure, such as `"accuracy"`.
        value: From 0 to 1.
    """

    data_set: str
    split: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Task:
    """A task that the loaded bundle can do.

    Attributes:
        name: The name to ask for.
        kind: What its head gives out.
        labels: The labels in the head's own order; for spans without the "outside" tag.
        figures: What the head was measured to do.
    """

    name: str
    kind: HeadKind
    labels: tuple[str, ...]
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds that the server puts on one request.

    Attributes:
        max_documents: Documents in one request.
        max_text_chars: Code points in one document.
        max_request_chars: Code points in all documents of one request together.
    """

    max_documents: int
    max_text_chars: int
    max_request_chars: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """The loaded bundle.

    Attributes:
        name: Its name.
        version: Its version.
        tasks: Its tasks, in its own order.
        limits: The server's bounds on one request.
    """

    name: str
    version: str
    tasks: tuple[Task, ...]
    limits: Limits

    def task(self, name: str) -> Task:
        """Find a task by name.

        Raises:
            KeyError: The bundle has no such task.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """Give the bundle as JSON-ready values."""
        return {
            "name": self.name,
            "version": self.version,
            "tasks": [_task_dict(task) for task in self.tasks],
            "limits": {name: getattr(self.limits, name) for name in Limits.__slots__},
        }


def _task_dict(task: Task) -> dict[str, Any]:
    figures = [{name: getattr(f, name) for name in Figure.__slots__} for f in task.figures]
    return {
        "name": task.name,
        "kind": str(task.kind),
        "labels": list(task.labels),
        "figures": figures,
    }
