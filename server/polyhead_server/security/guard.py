"""Whether a caller may call, and who it then is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from polyhead_server.errors import UnauthenticatedError
from polyhead_server.extras import needs_extra
from polyhead_server.security.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyhead_server.settings import Settings


class Check(Protocol):
    """One way to know tokens."""

    def client_of(self, token: str) -> str | None:
        """Whose token it is; None where it is not let in."""
        ...


class Guard:
    """Lets in whoever has a bearer token that one of the checks knows.

    Args:
        checks: asked in turn; without any, everybody is let in.
    """

    def __init__(self, checks: Sequence[Check] = ()) -> None:
        self._checks = tuple(checks)

    def admit(self, authorization: str) -> str | None:
        """Let a caller in.

        Args:
            authorization: the header, empty where there is none.

        Returns:
            Whom the token stands for; None where none is needed.

        Raises:
            UnauthenticatedError: there is no token, or nobody knows it.
            PermissionDeniedError: it is known, and not good for this.
        """
        if not self._checks:
            return None
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer":
            for check in self._checks:
                if client := check.client_of(token.strip()):
                    return client
        raise UnauthenticatedError("a valid bearer token is needed")


def make_guard(settings: Settings) -> Guard:
    """The guard that settings ask for.

    Raises:
        StartError: a file cannot be used, or an extra is not installed.
    """
    checks: list[Check] = []
    if settings.token_file is not None:
        checks.append(Tokens(settings.token_file))
    if settings.jwt_keys is not None:
        checks.append(_web_tokens(settings))
    return Guard(checks)


def _web_tokens(settings: Settings) -> Check:
    with needs_extra("jwt", "JSON Web Tokens need"):
        from polyhead_server.security.web_tokens import (  # noqa: PLC0415 - an extra
            Terms,
            WebTokens,
        )
    assert settings.jwt_keys is not None  # noqa: S101 - the caller looked
    terms = Terms(
        algorithms=settings.jwt_algorithms,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        scope=settings.jwt_scope,
        leeway=settings.jwt_leeway,
    )
    return WebTokens(settings.jwt_keys, terms)
