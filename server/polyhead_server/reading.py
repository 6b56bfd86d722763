"""From what a caller sent to documents ready for the encoder, or to what is wrong with each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead_server.checks import (
    chars,
    check_size,
    check_source,
    check_tasks,
    no_words,
    wanted_tasks,
)
from polyhead_server.errors import (
    InternalError,
    InvalidRequestError,
    NoWordsError,
    RequestError,
    Violation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from polyhead_server.bundle import HeadSpec
    from polyhead_server.checks import Form, Limits
    from polyhead_server.encoding import Document, Source


@dataclass(frozen=True, slots=True)
class Checked:
    """A request after the checks."""

    tasks: tuple[str, ...]
    """Names of heads, "*" spelled out."""
    sources: list[Source | RequestError]
    """The documents, or what is wrong with them."""
    violations: list[Violation]
    """What is wrong with the request as a whole."""
    size: int
    """Code points of all documents."""


class Reader:
    """Checks requests and tokenises their documents. Stateless and safe to share by threads.

    Args:
        tokenize: cuts a document into windows; raises NoWordsError.
        heads: the heads that can be asked for.
        limits: bounds on one request.
    """

    def __init__(
        self,
        tokenize: Callable[[Source], Document],
        heads: Iterable[HeadSpec],
        limits: Limits,
    ) -> None:
        self.limits = limits
        self.heads = {head.name: head for head in heads}
        self._cut = tokenize

    def check(
        self, given: Sequence[Source | RequestError | None], tasks: Sequence[str], form: Form
    ) -> Checked:
        """Check a request.

        Args:
            given: the documents; None without text and words, an error where already known.
            tasks: names of heads, or "*" alone.
            form: how its fields are named.
        """
        sizes = [0 if isinstance(source, RequestError) else chars(source) for source in given]
        shared = [*check_tasks(tasks, self.heads), *check_size(sizes, form, self.limits)]
        # Too many tasks are not looked through: a message holds millions.
        wanted = () if shared else wanted_tasks(tasks, tuple(self.heads))
        if len(given) > self.limits.max_documents:  # not worth a closer look
            return Checked(wanted, [], shared, 0)
        sources = [
            self._check_one(source, size, form.path(index))
            for index, (source, size) in enumerate(zip(given, sizes, strict=True))
        ]
        return Checked(wanted, sources, shared, sum(sizes))

    def tokenize(
        self, sources: Sequence[Source | RequestError], form: Form
    ) -> list[Document | RequestError]:
        """Cut each document into windows; an error stays what it is."""
        return [
            source if isinstance(source, RequestError) else self._tokenize_one(source, path)
            for source, path in zip(sources, map(form.path, range(len(sources))), strict=True)
        ]

    def _check_one(
        self, source: Source | RequestError | None, size: int, path: str
    ) -> Source | RequestError:
        if isinstance(source, RequestError):
            return source
        violations = list(check_source(source, size, path, self.limits))
        if violations or source is None:
            return InvalidRequestError(violations)
        return source

    def _tokenize_one(self, source: Source, path: str) -> Document | RequestError:
        try:
            return self._cut(source)
        except NoWordsError:
            return InvalidRequestError([no_words(source, path)])
        except Exception as fault:  # noqa: BLE001 - it harms no other document
            error = InternalError()
            error.__cause__ = fault
            return error


def raise_together(violations: Sequence[Violation], found: Iterable[object]) -> None:
    """Raise what is wrong with a request whose documents stand or fall together, if anything is.

    Args:
        violations: what is wrong with the request as a whole.
        found: documents, and errors in the place of some.

    Raises:
        RequestError: all violations in one, or else the first other error.
    """
    errors = [item for item in found if isinstance(item, RequestError)]
    everything = [
        *violations,
        *(
            v
            for error in errors
            if isinstance(error, InvalidRequestError)
            for v in error.violations
        ),
    ]
    if everything:
        raise InvalidRequestError(everything)
    if errors:
        raise errors[0]
