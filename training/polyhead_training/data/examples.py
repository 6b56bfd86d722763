"""What the readers produce and the training loop consumes."""

from dataclasses import dataclass, field

from polyhead_training.data.replacements import Replacements

Span = tuple[int, int]
"""Start and end of a stretch of text in code points, the end exclusive."""


@dataclass(frozen=True, slots=True)
class Example:
    """One text or sentence with its gold answer."""

    origin: str
    """Where it was read, ``file:line``."""
    text: str | None
    """The raw text, where the file has it."""
    words: tuple[str, ...] | None
    """The pre-split words; always for tagging and spans."""
    target: str | tuple[str, ...]
    """The label, or one tag a word (B-LABEL, I-LABEL and O for spans)."""
    spans: tuple[Span, ...] | None
    """The place of each word in `text`; None without both."""
    group: str
    """The document it belongs to, or its file."""


@dataclass(frozen=True, slots=True)
class SourceData:
    """The examples of one source by part; a part without files is empty."""

    train: tuple[Example, ...]
    """Examples to fit the weights on."""
    dev: tuple[Example, ...]
    """Examples that choose between weights."""
    test: tuple[Example, ...]
    """Examples that are only measured."""
    replacements: Replacements = field(default_factory=Replacements)
    """What words of training examples may be replaced by."""
    dropped: int = 0
    """Training examples left out because dev or test data have them."""
