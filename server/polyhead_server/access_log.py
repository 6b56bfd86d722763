"""One line for each call: who, what, how much, how long, how it ended; text only if asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from polyhead_server.errors import RequestError
from polyhead_server.timings import Timings

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc

    from polyhead_server.annotator import Annotated

_log = structlog.get_logger(__name__)
_DIGITS = 6


class Work:
    """What was done for one call, added up."""

    def __init__(self) -> None:
        self.documents = 0
        self.chars = 0
        self.tokens = 0
        self.timings = Timings()

    def add(self, annotated: Annotated) -> None:
        """Count an answer's documents; those that have an error instead are left out."""
        self.chars += annotated.size
        self.timings += annotated.timings
        for outcome in annotated.outcomes:
            if not isinstance(outcome, RequestError):
                self.documents += 1
                self.tokens += outcome.document.tokens


def log_call(
    method: str,
    code: grpc.StatusCode,
    seconds: float,
    work: Work,
    caller: Mapping[str, str],
) -> None:
    """Write the line of a call.

    Args:
        method: its name.
        code: how it ended.
        seconds: how long it took.
        work: what was done for it.
        caller: who called, by field.
    """
    stages = work.timings.stages() if work.documents else []
    _log.info(
        "call",
        method=method,
        status=code.name,
        **caller,
        documents=work.documents,
        chars=work.chars,
        tokens=work.tokens,
        seconds=round(seconds, _DIGITS),
        **{f"{name}_seconds": round(spent, _DIGITS) for name, spent in stages},
    )


def log_texts(annotated: Annotated) -> None:
    """Write down the texts that were annotated."""
    texts = [
        outcome.document.text
        for outcome in annotated.outcomes
        if not isinstance(outcome, RequestError)
    ]
    _log.info("texts", texts=texts)


def warn_of_texts() -> None:
    """Say that texts will be written down."""
    _log.warning("texts_are_logged", setting="--log-text", advice="not with private data")
