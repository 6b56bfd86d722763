"""The steps of a plan: what it asks for, and what it is answered."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from polyhead import _health
from polyhead.v1 import annotation_service_pb2 as service_pb2

if TYPE_CHECKING:
    from polyhead._status import Metadata


class Method(Enum):
    """The unary methods: path, encoding of the request, decoding of the answer."""

    ANNOTATE = (
        "/polyhead.v1.AnnotationService/Annotate",
        service_pb2.AnnotateRequest.SerializeToString,
        service_pb2.AnnotateResponse.FromString,
    )
    LIST_TASKS = (
        "/polyhead.v1.AnnotationService/ListTasks",
        service_pb2.ListTasksRequest.SerializeToString,
        service_pb2.ListTasksResponse.FromString,
    )
    HEALTH = ("/grpc.health.v1.Health/Check", _health.encode_request, _health.decode_response)


@dataclass(frozen=True, slots=True)
class Send:
    """Step: send a request, answer with a Reply."""

    method: Method
    request: Any
    timeout: float | None
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Step: wait so many seconds, answer with None.

    Attributes:
        seconds: How long.
        reconnect: Whether the server could not be reached, so that a connection has to be made.
    """

    seconds: float
    reconnect: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A message that came back, and the metadata before and behind it."""

    message: Any
    metadata: Metadata


T = TypeVar("T")
Plan: TypeAlias = Generator[Send | Wait, Reply | None, T]


class Deadline:
    """A point in time that a call may not pass."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Seconds left, never below 0; infinity where there is no end."""
        return max(0.0, self._end - self._clock())

    def for_grpc(self) -> float | None:
        """Seconds left as grpc takes them: None where there is no end."""
        remaining = self.remaining()
        return None if math.isinf(remaining) else remaining
