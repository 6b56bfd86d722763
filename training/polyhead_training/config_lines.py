"""Where each key of a TOML document stands: `tomllib` gives values but no line numbers.

Works on text that `tomllib` has already accepted, so it recognises structure and checks nothing.
"""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""Keys and array indices from the top of the document down to one value."""

_TOKEN = re.compile(
    r"""
    (?P<skip>[ \t]+|\#[^\n]*)
  | (?P<newline>\r?\n)
  | (?P<string>\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\])*"|'[^']*')
  | (?P<mark>[\[\]{}=,.])
  | (?P<bare>[^\s\[\]{}=,."'\#]+)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


def key_lines(source: str) -> dict[KeyPath, int]:
    """Map the path of every key, table and array item of a valid document to its line, from 1."""
    return _Scanner(_tokens(source)).scan()


def nearest_line(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """The line of `path`, or of the nearest thing around it that is written down."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def _tokens(source: str) -> list[_Token]:
    tokens, line = [], 1
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup or ""
        if kind != "skip":
            tokens.append(_Token(kind, match.group(), line))
        line += match.group().count("\n")
    tokens.append(_Token("end", "", line))
    return tokens


class _Scanner:
    """Walks the tokens of a document once and notes the line of each path."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._lines: dict[KeyPath, int] = {}
        self._array_sizes: Counter[KeyPath] = Counter()

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._peek().kind != "end":
            if self._peek().kind == "newline":
                self._next()
            elif self._peek().text == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _skip_newlines(self) -> None:
        while self._peek().kind == "newline":
            self._at += 1

    def _note(self, path: KeyPath, line: int) -> None:
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)

    def _header(self) -> KeyPath:
        line = self._next().line
        is_array = self._peek().text == "["
        if is_array:
            self._next()
        *outer, last = self._dotted_key()
        path = (*self._resolve(outer), last)
        self._next()
        if is_array:
            self._next()
            path = (*path, self._array_sizes[path])
            self._array_sizes[path[:-1]] += 1
        self._note(path, line)
        return path

    def _resolve(self, keys: list[str]) -> KeyPath:
        """A table named below an array of tables belongs to the array's last item."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in self._array_sizes:
                path = (*path, self._array_sizes[path] - 1)
        return path

    def _dotted_key(self) -> list[str]:
        keys = [_key(self._next())]
        while self._peek().text == ".":
            self._next()
            keys.append(_key(self._next()))
        return keys

    def _pair(self, table: KeyPath) -> None:
        line = self._peek().line
        path = (*table, *self._dotted_key())
        self._next()
        self._note(path, line)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        opening = self._peek().text
        if opening == "{":
            self._inline_table(path)
        elif opening == "[":
            self._array(path)
        else:
            self._scalar()

    def _inline_table(self, path: KeyPath) -> None:
        self._next()
        self._skip_newlines()
        while self._peek().text != "}":
            self._pair(path)
            self._skip_separators()
        self._next()

    def _array(self, path: KeyPath) -> None:
        self._next()
        self._skip_newlines()
        index = 0
        while self._peek().text != "]":
            self._note((*path, index), self._peek().line)
            self._value((*path, index))
            self._skip_separators()
            index += 1
        self._next()

    def _skip_separators(self) -> None:
        while self._peek().kind == "newline" or self._peek().text == ",":
            self._at += 1

    def _scalar(self) -> None:
        """Numbers and dates may be several tokens: 1.5, 2026-01-01 10:00:00."""
        while self._peek().kind not in {"newline", "end"} and self._peek().text not in set(",]}"):
            self._next()


def _key(token: _Token) -> str:
    if token.kind != "string":
        return token.text
    return str(tomllib.loads(f"key = {token.text}")["key"])
