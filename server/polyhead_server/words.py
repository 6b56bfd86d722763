"""Words: the splitter that training and serving share, after the rules of UD English EWT.

The rules are one compiled scanner plus dictionary look-ups in a lexicon (a plain dict loaded from
JSON). Each alternative of the scanner either is a word as it stands or belongs to one of a few
numbered groups whose match is looked up, and perhaps cut, by a method of :class:`WordSplitter`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from typing import cast

from polyhead_server.words_scanner import (
    COMPOUND,
    DOTTED,
    ELIDED,
    JOINED,
    LETTERS,
    PLAIN,
    compile_scanner,
)

__all__ = ["RULES", "LexiconError", "WordSplitter", "default_lexicon"]

RULES = "ud-english-1"
"""Version of the rules in this module; a lexicon names the version it was made for."""

Span = tuple[int, int]

_APOSTROPHES = str.maketrans(dict.fromkeys("’`´ʼ", "'"))
_CLITICS = frozenset({"s", "re", "ve", "ll", "d", "m"})
_HYPHENS = str.maketrans(dict.fromkeys("‐‑", "-"))
_INITIALISM_PIECE = 1  # letters of a piece of "U.S."
_PERIOD = 1  # characters


class LexiconError(ValueError):
    """A lexicon that this splitter cannot use: other rules, or a missing or malformed entry."""


def default_lexicon() -> dict[str, object]:
    """Read the packaged lexicon.

    Returns:
        A fresh dict; a bundle stores its own copy, so that training and serving never differ.
    """
    packaged = files("polyhead_server").joinpath("lexicon.json").read_text(encoding="utf-8")
    return cast("dict[str, object]", json.loads(packaged))


def _strings(lexicon: Mapping[str, object], key: str) -> frozenset[str]:
    """Read one list of strings."""
    value = lexicon.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise LexiconError(f"lexicon entry {key!r} must be a list of non-empty strings")
    return frozenset(value)


def _cuts(pieces: str) -> tuple[int, ...]:
    """Turn "do|n't" into the offset after each piece but the last, here (2,)."""
    ends, length = [], 0
    for piece in pieces.split("|")[:-1]:
        length += len(piece)
        ends.append(length)
    return tuple(ends)


def _read_cuts(entries: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Map each form, in the three usual letter cases, to its cuts."""
    table: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        form, cuts = entry.replace("|", ""), _cuts(entry)
        if not cuts or "" in entry.split("|"):
            raise LexiconError(f"lexicon split {entry!r} must have two or more non-empty pieces")
        table.update(dict.fromkeys((form, form.capitalize(), form.upper()), cuts))
    return table


class WordSplitter:
    """Splits raw English text into words as UD English EWT does. Immutable and thread-safe."""

    __slots__ = ("_abbreviations", "_cuts", "_handlers", "_numbered", "_prefixes", "_scan", "_whole")

    def __init__(self, lexicon: Mapping[str, object]) -> None:
        """Build the scanner from a lexicon.

        Args:
            lexicon: As :func:`default_lexicon` returns it.

        Raises:
            LexiconError: The lexicon was made for other rules or lacks an entry.
        """
        if lexicon.get("rules") != RULES:
            raise LexiconError(f"lexicon rules are {lexicon.get('rules')!r}, not {RULES!r}")
        self._cuts = _read_cuts(_strings(lexicon, "splits"))
        self._abbreviations = _strings(lexicon, "abbreviations")
        self._numbered = _strings(lexicon, "abbreviations_before_number")
        self._prefixes = _strings(lexicon, "prefixes")
        self._whole = _strings(lexicon, "hyphenated")
        self._scan = compile_scanner(
            units=_strings(lexicon, "units"),
            domains=_strings(lexicon, "domains"),
            extensions=_strings(lexicon, "extensions"),
        ).finditer
        self._handlers: dict[int, Callable[[str, int, int], list[Span]]] = {
            JOINED: self._split_joined,
            ELIDED: self._split_joined,
            LETTERS: self._split_letters,
            DOTTED: self._split_dotted,
            COMPOUND: self._split_compound,
        }

    def split(self, text: str) -> list[Span]:
        """Find the words of a text, in time linear in its length.

        Args:
            text: Any str, lone surrogates and control characters included.

        Returns:
            Code point spans [start, end), in order and without overlap. Every character other than
            whitespace and control characters lies in exactly one of them, and no other does.
        """
        spans: list[Span] = []
        add, cuts = spans.append, self._cuts
        for match in self._scan(text):
            kind = match.lastindex
            if kind is None:
                add(match.span())
            elif kind == PLAIN:
                if (found := cuts.get(match[0])) is None:
                    add(match.span())
                else:
                    spans += _cut(*match.span(), found)
            else:
                spans += self._handlers[kind](text, *match.span())
        return spans

    def _split_joined(self, text: str, start: int, end: int) -> list[Span]:
        """Split letters joined by apostrophes: do|n't, it|'s, O'Connell."""
        form = text[start:end].translate(_APOSTROPHES)
        if (found := self._cuts.get(form)) is not None:
            return _cut(start, end, found)
        tail: list[Span] = []
        while (at := start + _clitic(form[: end - start])) > start:
            tail.append((at, end))
            end = at
        return [*self._split_letters(text, start, end), *reversed(tail)]

    def _split_letters(self, text: str, start: int, end: int) -> list[Span]:
        """Split one run of letters by the lexicon."""
        return _cut(start, end, self._cuts.get(text[start:end], ()))

    def _split_dotted(self, text: str, start: int, end: int) -> list[Span]:
        """Split letters joined or followed by periods: U.S., etc., end|.|Start."""
        form = text[start:end]
        if self._keeps_period(form, text, end):
            return [(start, end)]
        pieces = form.split(".")
        if len(pieces) > 1 and all(len(piece) == _INITIALISM_PIECE for piece in pieces[:-1]):
            if pieces[-1]:
                return [(start, end)]
            if len(pieces) > 2:  # noqa: PLR2004 - two letters or more, then the last period
                return [(start, end - _PERIOD), (end - _PERIOD, end)]
        spans: list[Span] = []
        for piece in pieces:
            if piece:
                spans += self._split_letters(text, start, start + len(piece))
            start += len(piece) + _PERIOD
            if start <= end:
                spans.append((start - _PERIOD, start))
        return spans

    def _keeps_period(self, form: str, text: str, end: int) -> bool:
        """Tell whether the form, its last period included, is an abbreviation."""
        lower = form.lower()
        if lower in self._abbreviations:
            return True
        following = text[end : end + 2].strip()
        if lower in self._numbered:
            return following[:1].isdigit()
        return _is_initialism(form) and bool(following)

    def _split_compound(self, text: str, start: int, end: int) -> list[Span]:
        """Split letters and digits joined by hyphens: e-mail, anti-war, so|-|called."""
        form = text[start:end].translate(_HYPHENS).lower()
        if form in self._whole:
            return [(start, end)]
        pieces = form.split("-")
        if pieces[0] in self._prefixes:
            pieces[:2] = ["-".join(pieces[:2])]
        spans: list[Span] = []
        for piece in pieces:
            spans += self._split_letters(text, start, start + len(piece))
            start += len(piece) + 1
            if start <= end:
                spans.append((start - 1, start))
        return spans


def _cut(start: int, end: int, cuts: tuple[int, ...]) -> list[Span]:
    """Cut a span at offsets counted from its start."""
    bounds = [start, *(start + cut for cut in cuts), end]
    return list(zip(bounds, bounds[1:], strict=False))


def _clitic(form: str) -> int:
    """Offset of the last clitic of a form with straight apostrophes; 0 if it has none."""
    head, apostrophe, last = form.rpartition("'")
    last = last.lower()
    if not apostrophe:
        return 0
    if last == "t" and head[-1:] in "nN":
        return len(head) - 1
    return len(head) if last in _CLITICS else 0


def _is_initialism(form: str) -> bool:
    """Tell whether a form is single letters, each with its period: U.S., J., e.g."""
    return len(form) % 2 == 0 and all(char == "." for char in form[1::2])
