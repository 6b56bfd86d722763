"""What a run of offline scoring is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

BATCH_TOKENS = 512
FRAGMENT_ROWS = 4096
MOST_CHARS = 1_000_000


@dataclass(frozen=True, slots=True)
class Fields:
    """Where rows have their texts, and where results go."""

    text: str = "text"
    words: str = ""
    """Column with lists of words to take in place of the text; empty for none."""
    column: str = "predictions"
    """Column for the results."""
    most_chars: int = MOST_CHARS
    """Code points that a text may have."""

    @property
    def read(self) -> str:
        """The column that is read."""
        return self.words or self.text


@dataclass(frozen=True, slots=True)
class Order:
    """What decides about the results, besides the input."""

    bundle: Path
    identity: str
    """The bundle's: every process refuses another."""
    tasks: tuple[str, ...]
    output: Path
    fields: Fields
    key: Path | None = None
    """Public key that the bundle must be signed with."""
    batch_tokens: int = BATCH_TOKENS
    """Tokens of a batch of the encoder."""

    def terms(self) -> dict[str, Any]:
        """What must be the same when a run is gone on with, by what the user calls it."""
        return {
            "bundle": self.identity,
            "tasks": list(self.tasks),
            "text": self.fields.text,
            "words": self.fields.words,
            "column": self.fields.column,
            "max-text-chars": self.fields.most_chars,
            "batch-tokens": self.batch_tokens,
        }
