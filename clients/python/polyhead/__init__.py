"""Client for polyhead: sentiment, entities, part-of-speech, topic and more from one encoder pass.

    from polyhead import Client

    with Client("localhost:50051") as client:
        annotation = client.annotate("Apple's new store in Berlin opened to long queues.")
        print(annotation.classification("sentiment").label)

`Client`, `AsyncClient` and `HttpClient` load gRPC when they are first named; all else here is plain
Python. `polyhead.spacy` is a spaCy component, `polyhead.pandas` annotates columns of a frame.
`polyhead.testing` serves deterministic answers in-process, for the tests of code that calls.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from polyhead._annotation import Annotation, Annotations, Outcome, ResponseInfo, Timings
from polyhead._bundle import Bundle, Figure, HeadKind, Health, Limits, Task
from polyhead._errors import (
    CallCancelledError,
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyheadError,
    UnauthenticatedError,
    UnavailableError,
    UnexpectedStatusError,
    UnimplementedError,
    Violation,
)
from polyhead._options import TLS, BearerToken, ChannelOptions, OffsetUnit, Priority, RetryPolicy
from polyhead._results import (
    Classification,
    LabelScore,
    Span,
    Spans,
    TaggedWord,
    Tagging,
    TaskResult,
)
from polyhead._words import Document, Words

if TYPE_CHECKING:
    from polyhead._aio import AsyncClient
    from polyhead._client import Client
    from polyhead._http import HttpClient

__all__ = [
    "TLS",
    "Annotation",
    "Annotations",
    "AsyncClient",
    "BearerToken",
    "Bundle",
    "CallCancelledError",
    "ChannelOptions",
    "Classification",
    "Client",
    "DeadlineExceededError",
    "Document",
    "Figure",
    "HeadKind",
    "Health",
    "HttpClient",
    "InternalError",
    "InvalidArgumentError",
    "LabelScore",
    "Limits",
    "NotFoundError",
    "OffsetUnit",
    "Outcome",
    "OverloadedError",
    "PermissionDeniedError",
    "PolyheadError",
    "Priority",
    "ResponseInfo",
    "RetryPolicy",
    "Span",
    "Spans",
    "TaggedWord",
    "Tagging",
    "Task",
    "TaskResult",
    "Timings",
    "UnauthenticatedError",
    "UnavailableError",
    "UnexpectedStatusError",
    "UnimplementedError",
    "Violation",
    "Words",
]

_LAZY = {
    "AsyncClient": "polyhead._aio",
    "Client": "polyhead._client",
    "HttpClient": "polyhead._http",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
