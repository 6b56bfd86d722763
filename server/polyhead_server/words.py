"""Words: the splitter that training and serving share, after the rules of UD English EWT.

The rules are one compiled scanner plus dictionary look-ups in a lexicon (a plain dict loaded from
JSON). Each alternative of the scanner either is a word as it stands or belongs to one of a few
numbered groups whose match is looked up, and perhaps cut, by a method of :class:`WordSplitter`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib.resources import files
from itertools import pairwise
from typing import cast

from polyhead_server.words_scanner import Kind, compile_scanner

__all__ = ["RULES", "LexiconError", "WordSplitter", "default_lexicon"]

RULES = "ud-english-1"
"""Version of the rules in this module; a lexicon names the version it was made for."""

Span = tuple[int, int]
_Handler = Callable[[str, int, int], list[Span]]

_APOSTROPHES = str.maketrans(dict.fromkeys("’`´ʼ", "'"))
_MOST_CLITICS = 3  # I|'d|n't|'ve; a bound keeps the time linear
_CLITICS = frozenset({"s", "re", "ve", "ll", "d", "m"})
_LOOK_AHEAD = 8  # characters after an abbreviation that tell whether a sentence ends
_HYPHENS = str.maketrans(dict.fromkeys("‐‑", "-"))


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

    __slots__ = (
        "_abbreviations",
        "_closing",
        "_cuts",
        "_handlers",
        "_numbered",
        "_prefixes",
        "_scan",
        "_suffixes",
        "_whole",
    )

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
        self._closing = _strings(lexicon, "abbreviations_closing")
        self._suffixes = _strings(lexicon, "suffixes")
        self._prefixes = _strings(lexicon, "prefixes")
        self._whole = _strings(lexicon, "hyphenated")
        scanner, kinds = compile_scanner(
            units=_strings(lexicon, "units"),
            domains=_strings(lexicon, "domains"),
            extensions=_strings(lexicon, "extensions"),
            slashed=_strings(lexicon, "slashed"),
        )
        self._scan = scanner.finditer
        handlers: dict[Kind, _Handler] = {
            Kind.PLAIN: self._split_letters,
            Kind.JOINED: self._split_joined,
            Kind.DOTTED: self._split_dotted,
            Kind.COMPOUND: self._split_compound,
        }
        self._handlers = (None, *(handlers.get(kind) for kind in kinds))

    def split(self, text: str) -> list[Span]:
        """Find the words of a text, in time linear in its length.

        Args:
            text: Any str, lone surrogates and control characters included.

        Returns:
            Code point spans [start, end), in order and without overlap. Every character other than
            whitespace and control characters lies in exactly one of them, and no other does.
        """
        spans: list[Span] = []
        add, cuts, handlers = spans.append, self._cuts, self._handlers
        for match in self._scan(text):
            group = match.lastindex
            if group == 1:  # PLAIN, the most common by far, without a call
                if (found := cuts.get(match[1])) is None:
                    add(match.span(1))
                else:
                    spans += _cut(*match.span(1), found)
            elif group is not None:
                if (handler := handlers[group]) is None:
                    add(match.span(group))
                else:
                    spans += handler(text, *match.span(group))
        return spans

    def _split_joined(self, text: str, start: int, end: int) -> list[Span]:
        """Split letters joined by apostrophes: do|n't, it|'s, O'Connell."""
        form = text[start:end].translate(_APOSTROPHES)
        if (found := self._cuts.get(form)) is not None:
            return _cut(start, end, found)
        tail: list[Span] = []
        for _ in range(_MOST_CLITICS):
            at = start + _clitic(form[: end - start])
            if at > start:
                tail.insert(0, (at, end))
                end = at
        return [*self._split_letters(text, start, end), *tail]

    def _split_letters(self, text: str, start: int, end: int) -> list[Span]:
        """Split one run of letters by the lexicon."""
        return _cut(start, end, self._cuts.get(text[start:end], ()))

    def _split_dotted(self, text: str, start: int, end: int) -> list[Span]:
        """Split letters joined or followed by periods: U.S., etc., end|.|Start."""
        form = text[start:end]
        if self._is_abbreviation(form, text, end):
            return [(start, end)]
        if "." in form[:-1] and _is_name(form.rstrip(".")):
            name_end = start + len(form.rstrip("."))
            return [(start, name_end), (name_end, end)] if name_end < end else [(start, end)]
        return self._split_pieces(text, start, form.split("."))

    def _is_abbreviation(self, form: str, text: str, end: int) -> bool:
        """Tell whether a form is one word, its last period included."""
        following = text[end : end + _LOOK_AHEAD]
        after = following.lstrip()
        gap = following[: len(following) - len(after)]
        if not form.endswith(".") or not after or "\n\n" in gap:
            return False  # the last period of a text or paragraph is the sentence's
        lower = form.lower()
        if lower in self._closing:
            return not (gap and after[0].isupper())
        if _is_initialism(form) or lower in self._abbreviations:
            return True
        return lower in self._numbered and after[0].isdigit()

    def _split_compound(self, text: str, start: int, end: int) -> list[Span]:
        """Split letters and digits joined by hyphens: e-mail, anti-war, so|-|called."""
        form = text[start:end].translate(_HYPHENS)
        if form.lower() in self._whole:
            return [(start, end)]
        pieces = form.split("-")
        if pieces[0].lower() in self._prefixes:
            pieces[:2] = ["-".join(pieces[:2])]
        if len(pieces) > 1 and pieces[-1].lower() in self._suffixes:
            pieces[-2:] = ["-".join(pieces[-2:])]
        return self._split_pieces(text, start, pieces)

    def _split_pieces(self, text: str, start: int, pieces: Iterable[str]) -> list[Span]:
        """Make words of the pieces of a form and of the single signs between them."""
        spans: list[Span] = []
        for piece in pieces:
            end = start + len(piece)
            if spans:
                spans.append((start - 1, start))
            if piece:
                spans += self._split_letters(text, start, end)
            start = end + 1
        return spans


def _cut(start: int, end: int, cuts: tuple[int, ...]) -> list[Span]:
    """Cut a span at offsets counted from its start."""
    bounds = [start, *(start + cut for cut in cuts), end]
    return list(pairwise(bounds))


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
    single = len(form) % 2 == 0 and set(form[1::2]) == {"."}
    return single and (len(form) > 2 or (form[0].isupper() and form[0] != "I"))  # noqa: PLR2004


def _is_name(form: str) -> bool:
    """Tell whether letters joined by periods are one word: U.S, p.m, comp.sources.unix."""
    pieces = form.split(".")
    if all(len(piece) == 1 for piece in pieces):
        return True
    return len(pieces) > 2 and form.islower()  # noqa: PLR2004
