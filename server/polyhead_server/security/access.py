"""Who is let in, and how much each may ask for: what every call is measured by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import Counter

from polyhead_server.errors import PermissionDeniedError, RequestError
from polyhead_server.security.guard import Guard, make_guard
from polyhead_server.security.rates import make_rates
from polyhead_server.security.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prometheus_client import CollectorRegistry

    from polyhead_server.security.rates import Rates
    from polyhead_server.settings import Settings

_REASONS = ("unauthenticated", "permission", "client_calls", "client_chars")


@dataclass(frozen=True, slots=True)
class Access:
    """What callers may do. By default everybody may do everything."""

    guard: Guard = field(default_factory=Guard)
    rates: Rates | None = None
    max_seconds: float = 0.0
    """Seconds that a call may take; 0 for any."""
    refused: Callable[[str], object] = lambda _: None
    """Told why callers were refused."""

    def admit(self, authorization: str) -> str | None:
        """Let a caller in by its authorization header; whom it stands for.

        Raises:
            UnauthenticatedError: a token is needed, and there is none that is known.
            PermissionDeniedError: it is known, and not good for this.
        """
        try:
            return self.guard.admit(authorization)
        except RequestError as error:
            denied = isinstance(error, PermissionDeniedError)
            self.refused("permission" if denied else "unauthenticated")
            raise


def make_access(settings: Settings, registry: CollectorRegistry) -> Access:
    """What settings say, counted in a registry: by reason, never by client.

    Raises:
        StartError: a file cannot be used, or an extra is not installed.
    """
    counter = Counter(
        "polyhead_refused_total",
        "Calls refused because of who called.",
        ("reason",),
        registry=registry,
    )
    for reason in _REASONS:
        counter.labels(reason)

    def refused(reason: str) -> None:
        counter.labels(reason).inc()

    return Access(
        make_guard(settings), make_rates(settings, refused), settings.max_deadline, refused
    )


def token_access(file: Path | None) -> Access:
    """Access by the tokens of a file alone; for everybody where there is no file.

    Raises:
        StartError: the file cannot be used.
    """
    return Access(Guard([] if file is None else [Tokens(file)]))
