"""What an annotated document holds, typed by kind of head and not by task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator


_DIGITS = 6  # of scores in to_dict: the wire carries 32-bit floats


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its probability, from 0 to 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Classification:
    """One label for the whole document.

    Attributes:
        label: The label with the highest score.
        score: Its probability, from 0 to 1.
        scores: The full distribution in the task's order of labels.
    """

    label: str
    score: float
    scores: tuple[LabelScore, ...]

    @property
    def distribution(self) -> dict[str, float]:
        """The scores by label."""
        return {entry.label: entry.score for entry in self.scores}

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON-ready values."""
        scores = {entry.label: round(entry.score, _DIGITS) for entry in self.scores}
        return {"label": self.label, "score": round(self.score, _DIGITS), "scores": scores}


@dataclass(frozen=True, slots=True)
class TaggedWord:
    """A word and its tag.

    Attributes:
        text: The word as it stands in the document.
        start: Offset of its first unit, in the response's offset unit.
        end: Offset behind its last unit.
        tag: The tag.
        score: The tag's probability, from 0 to 1.
    """

    text: str
    start: int
    end: int
    tag: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Give the word as JSON-ready values."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "tag": self.tag,
            "score": round(self.score, _DIGITS),
        }


@dataclass(frozen=True, slots=True)
class Tagging:
    """One tag for each word, in text order."""

    words: tuple[TaggedWord, ...]

    def __iter__(self) -> Iterator[TaggedWord]:
        return iter(self.words)

    def __len__(self) -> int:
        return len(self.words)

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON-ready values."""
        return {"words": [word.to_dict() for word in self.words]}


@dataclass(frozen=True, slots=True)
class Span:
    """A run of words with a label, such as a named entity.

    Attributes:
        text: The surface text, as it stands in the document.
        start: Offset of its first unit, in the response's offset unit.
        end: Offset behind its last unit.
        label: The label.
        score: The mean probability of its words having this label, from 0 to 1.
    """

    text: str
    start: int
    end: int
    label: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Give the span as JSON-ready values."""
        return {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "label": self.label,
            "score": round(self.score, _DIGITS),
        }


@dataclass(frozen=True, slots=True)
class Spans:
    """The labelled spans in text order; they do not overlap."""

    spans: tuple[Span, ...]

    def __iter__(self) -> Iterator[Span]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON-ready values."""
        return {"spans": [span.to_dict() for span in self.spans]}


TaskResult: TypeAlias = Classification | Tagging | Spans
"""The result of one task on one document."""
