"""The domain errors of the server, in one tree. None of them knows a wire.

PolyheadError
├── RequestError              one request cannot be answered; `wire_errors` maps each to a status
│   ├── InvalidRequestError   the request breaks the contract: fields and reasons
│   ├── NotFoundError         what the request names is not there
│   ├── UnsupportedError      a method that this server does not offer
│   ├── UnauthenticatedError  no valid token came with the request
│   ├── PermissionDeniedError a token that is not good for this
│   ├── RateExceededError     the caller's own quota is used up: try again later
│   ├── QueueFullError        too much work waits: try again later
│   │   └── HopelessError     the deadline cannot be met for what waits already
│   ├── DeadlineExceededError the time that the caller gave ran out
│   ├── DrainingError         the server is shutting down: try another one
│   ├── RolloutError          bundles or traffic cannot be changed as asked; all stays as it was
│   └── InternalError         our fault; the cause is logged, never sent
├── NoWordsError              a text without a visible word
├── BundleError               a bundle is damaged, foreign or not there
├── SettingsError             flags or environment variables are wrong: all of them at once
└── StartError                the server cannot start, for example on a port in use
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


STOPS = (asyncio.CancelledError, KeyboardInterrupt, SystemExit)
"""What is not to be kept from its way where all else is, panics of libraries in Rust included."""


class PolyheadError(Exception):
    """The root of every error that this package raises on purpose."""


class RequestError(PolyheadError):
    """One request, or one item of a stream, cannot be answered."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a request breaks the contract.

    Attributes:
        field: Path of the field in the request, such as `documents[3].text`.
        description: What is wrong and what would be right; holds no text of a document.
    """

    field: str
    description: str


class InvalidRequestError(RequestError):
    """The request breaks the contract.

    Attributes:
        violations: Every violation found, at least one.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in self.violations[:3]))


class NotFoundError(RequestError):
    """What the request names is not there."""


class UnsupportedError(RequestError):
    """The method is not offered."""


class UnauthenticatedError(RequestError):
    """No valid token came with the request."""


class PermissionDeniedError(RequestError):
    """The caller is known, and may not do this."""


class RateExceededError(RequestError):
    """The caller asked for more than its quota.

    Attributes:
        retry_after: Seconds after which it holds this much again.
        client: Whose quota it is.
    """

    def __init__(self, retry_after: float, client: str, unit: str, rate: float) -> None:
        self.retry_after = retry_after
        self.client = client
        super().__init__(
            f"the quota of {rate:g} {unit} a second is used up: "
            f"try again in {retry_after:.3f} seconds"
        )


class QueueFullError(RequestError):
    """Too much work waits for the engine.

    Attributes:
        retry_after: Seconds after which room is to be expected.
    """

    reason = "the queue is full"

    def __init__(self, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(f"{self.reason}: try again in {retry_after:.3f} seconds")


class HopelessError(QueueFullError):
    """So much work waits that the caller's deadline would pass before the answer is there."""

    reason = "too much waits to answer within the deadline"


class DeadlineExceededError(RequestError):
    """The deadline passed before the answer was there."""

    def __init__(self, text: str = "the deadline passed") -> None:
        super().__init__(text)


class DrainingError(RequestError):
    """The server is shutting down and takes no new work."""

    def __init__(self, text: str = "the server is shutting down") -> None:
        super().__init__(text)


class RolloutError(RequestError):
    """Bundles or traffic cannot be changed as asked, and are what they were.

    Attributes:
        reason: One word for programs, such as `BUNDLE_REFUSED`.
    """

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(text)


class InternalError(RequestError):
    """A fault of the server. `__cause__` holds it for the log; a caller never sees it."""

    def __init__(self) -> None:
        super().__init__("internal error")


class NoWordsError(PolyheadError):
    """A text holds no visible word."""


class BundleError(PolyheadError):
    """A bundle is damaged, foreign or not there."""


class SettingsError(PolyheadError):
    """Settings are wrong.

    Attributes:
        problems: Every problem found, each naming its flag or variable.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class StartError(PolyheadError):
    """The server cannot start."""
