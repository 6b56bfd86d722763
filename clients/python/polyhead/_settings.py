"""What both clients make of their arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from polyhead._channel import token_metadata
from polyhead._options import TLS, BearerToken, ChannelOptions, RetryPolicy
from polyhead._plans import Planner
from polyhead._retry import Retries, RetryBudget
from polyhead._words import Document, Words

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_TARGET = "localhost:50051"
DEFAULT_TIMEOUT = 30.0

T = TypeVar("T")


def planner(
    timeout: float,
    retry: RetryPolicy | None,
    tls: TLS | None,
    token: str | BearerToken | None,
    channel: ChannelOptions,
) -> Planner:
    """Make the planner of one client.

    Raises:
        ValueError: The timeout is not positive, or the token would travel in the clear.
    """
    if not timeout > 0:
        raise ValueError("timeout is more than 0 seconds")
    return Planner(
        retries=Retries(retry or RetryPolicy(), RetryBudget()),
        timeout=timeout,
        metadata=token_metadata(token, tls),
        max_send_bytes=channel.max_send_bytes,
    )


def check_documents(documents: Sequence[Document]) -> list[Document]:
    """Refuse a single document where several are meant.

    Raises:
        TypeError: It is one text or one list of words.
    """
    _refuse_single(documents, "annotate_many")
    return list(documents)


def check_items(items: T) -> T:
    """Refuse a single document where any number is meant; raises as `check_documents` does."""
    _refuse_single(items, "annotate_stream")
    return items


def _refuse_single(documents: object, method: str) -> None:
    if isinstance(documents, str | bytes | Words):
        name = type(documents).__name__
        raise TypeError(f"{method} takes several documents, not one {name}; use annotate for one")
