"""What the contract asks of a request, checked before any work is done."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import regex

from polyhead_server.errors import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from polyhead_server.encoding import Source

EVERY_TASK = "*"

_VISIBLE = regex.compile(r"[^\s\p{Z}\p{Cc}\p{Cf}\p{Cs}]")
_SHOWN_NAME = 64
_MOST_LISTED = 16
"""Names of tasks told with a mistake; ListTasks has all."""
_MOST_TOLD = 32
"""Mistakes of one kind that are told of one document: a message of some megabytes holds millions,
and the event loop has others to answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one request."""

    max_documents: int
    max_text_chars: int
    max_request_chars: int


@dataclass(frozen=True, slots=True)
class Form:
    """How a request names its documents in errors."""

    container: str
    """Field with the documents, or items."""
    inner: str
    """What leads from an entry of it to the document, such as `.document`."""

    def path(self, index: int) -> str:
        """Path of one document."""
        return f"{self.container}[{index}]{self.inner}"


DOCUMENTS = Form("documents", "")
ITEMS = Form("items", ".document")


def chars(source: Source | None) -> int:
    """Code points of a document; words count as joined by one space each."""
    if source is None:
        return 0
    if isinstance(source, str):
        return len(source)
    return sum(map(len, source)) + max(0, len(source) - 1)


def wanted_tasks(tasks: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The tasks asked for, with "*" spelled out. They must have been checked."""
    return tuple(known) if EVERY_TASK in tasks else tuple(tasks)


def check_tasks(tasks: Sequence[str], known: Mapping[str, object]) -> Iterator[Violation]:
    """Find what is wrong with the tasks asked for."""
    if not tasks:
        yield Violation("tasks", f"must hold at least one of {_listed(known)}, or {EVERY_TASK!r}")
    if len(tasks) > len(known) + _MOST_TOLD:
        yield Violation("tasks", f"holds {len(tasks)}, more than there are")
        return
    seen: set[str] = set()
    for index, task in enumerate(tasks):
        field = f"tasks[{index}]"
        if task in seen:
            yield Violation(field, f"{shown(task)} is asked for twice")
        elif task == EVERY_TASK and len(tasks) > 1:
            yield Violation(field, f"{EVERY_TASK!r} must stand alone")
        elif task != EVERY_TASK and task not in known:
            yield Violation(field, f"{shown(task)} is not one of {_listed(known)}")
        seen.add(task)


def check_count(count: int, form: Form, limits: Limits) -> Iterator[Violation]:
    """Find whether there are more documents than there may be: none of them is looked at then."""
    if count > limits.max_documents:
        text = f"holds {count}, more than the limit of {limits.max_documents}"
        yield Violation(form.container, text)


def check_size(sizes: Sequence[int], form: Form, limits: Limits) -> Iterator[Violation]:
    """Find what is wrong with the number and total size of the documents."""
    if not sizes:
        yield Violation(form.container, "must hold at least one")
    yield from check_count(len(sizes), form, limits)
    total = sum(size for size in sizes if size <= limits.max_text_chars)  # others are told apart
    if total > limits.max_request_chars:
        yield Violation(
            form.container,
            f"has {total} code points, more than the limit of {limits.max_request_chars}",
        )


def check_source(
    source: Source | None, size: int, path: str, limits: Limits
) -> Iterator[Violation]:
    """Find what is wrong with one document.

    Args:
        source: the document; None where neither text nor words were given.
        size: its code points.
        path: path of its field.
        limits: the bounds.
    """
    if source is None:
        yield Violation(f"{path}.source", "text or words must be given")
        return
    field = f"{path}.text" if isinstance(source, str) else f"{path}.words.words"
    if size > limits.max_text_chars:
        yield Violation(
            field, f"has {size} code points, more than the limit of {limits.max_text_chars}"
        )
    elif isinstance(source, str):
        yield from _check_text(source, field)
    else:
        yield from _check_words(source, field)


def no_words(source: Source, path: str) -> Violation:
    """The violation of a document in which no word is found."""
    field = f"{path}.text" if isinstance(source, str) else f"{path}.words.words"
    return Violation(field, "must hold at least one word of visible characters")


def _check_text(text: str, field: str) -> Iterator[Violation]:
    if not (text[:1].isalnum() or _VISIBLE.search(text)):
        yield Violation(field, "must hold at least one word of visible characters")


def _check_words(words: tuple[str, ...], field: str) -> Iterator[Violation]:
    if not words:
        yield Violation(field, "must hold at least one word")
    invisible = (
        index for index, word in enumerate(words) if not (word.isalnum() or _VISIBLE.search(word))
    )
    for index in islice(invisible, _MOST_TOLD):
        yield Violation(f"{field}[{index}]", "must hold at least one visible character")


def _listed(known: Mapping[str, object]) -> str:
    names = [repr(name) for name in islice(known, _MOST_LISTED)]
    more = len(known) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def shown(name: str) -> str:
    """A caller's name for an error's text, cut where it is long."""
    text = repr(name[: _SHOWN_NAME + 1])  # ten times as long where nothing can be printed
    return text if len(text) <= _SHOWN_NAME + 2 else f"{text[: _SHOWN_NAME + 1]}...{text[0]}"
