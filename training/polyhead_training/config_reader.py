"""Reads typed values out of parsed TOML and notes every problem with its line."""

import math
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from polyhead_training.config_lines import KeyPath, nearest_line
from polyhead_training.problems import Problems, did_you_mean


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed TOML file: where its keys stand, and where its problems go."""

    file: str
    """Path of the file, as it is shown in problems."""
    lines: dict[KeyPath, int]
    """The line of each key, from 1."""
    problems: Problems
    """Receives what is wrong."""


class Table:
    """One TOML table under reading: each method takes a key and returns a usable value.

    A value of the wrong type or out of range is noted as a problem and replaced by the default, so
    that reading goes on and finds the other problems. `close` notes the keys nobody asked for.
    """

    def __init__(self, document: Document, values: dict[str, Any], path: KeyPath = ()) -> None:
        self._document = document
        self._values = values
        self._path = path
        self._asked: list[str] = []
        self.bad: set[str] = set()
        """Keys with a problem so far."""

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def line(self, *path: str | int) -> int:
        """The line of a key below this table, or of the table itself."""
        return nearest_line(self._document.lines, (*self._path, *path))

    def problem(self, message: str, *path: str | int) -> None:
        """Note a problem at a key below this table (or at the table itself)."""
        if path:
            self.bad.add(str(path[0]))
        self._document.problems.add(self._document.file, self.line(*path), message)

    def text(self, key: str, default: str | None, pattern: str = "", what: str = "") -> str:
        """A string that matches `pattern`; `what` describes it. Without a default, required."""
        value = self._get(key, default)
        if value is None:
            return ""
        if isinstance(value, str) and value.strip() and re.fullmatch(pattern or r"[^\x00]+", value):
            return value
        wanted = what or "a text that is not empty"
        self.problem(f"{key} must be {wanted}, not {_show(value)}", key)
        return default or ""

    def choice(self, key: str, default: str | None, choices: Collection[str]) -> str:
        """One of `choices`. Without a default, required."""
        value = self._get(key, default)
        if value is None or (isinstance(value, str) and value in choices):
            return value or ""
        hint = did_you_mean(str(value), choices)
        self.problem(f"{key} must be {_one_of(choices)}, not {_show(value)}{hint}", key)
        return default or ""

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self._get(key, default)
        if type(value) is int and low <= value <= high:
            return value
        wanted = f"a whole number from {low} to {high}"
        self.problem(f"{key} must be {wanted}, not {_show(value)}", key)
        return default

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        value = self._get(key, default)
        is_number = type(value) in {int, float} and math.isfinite(value)
        if is_number and low <= value <= high:
            return float(value)
        self.problem(f"{key} must be a number from {low:g} to {high:g}, not {_show(value)}", key)
        return default

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._get(key, default)
        if isinstance(value, bool):
            return value
        self.problem(f"{key} must be true or false, not {_show(value)}", key)
        return default

    def texts(self, key: str, *, required: bool = False, alone: bool = False) -> tuple[str, ...]:
        """A list of different texts, none empty; with `alone`, also a single text."""
        value = self._get(key, None if required else [])
        if value is None:
            return ()
        items = [value] if alone and isinstance(value, str) else value
        if not isinstance(items, list) or (key in self._values and not items):
            self.problem(f"{key} must be a list of texts, not {_show(value)}", key)
            return ()
        return tuple(self._distinct_texts(key, items))

    def _distinct_texts(self, key: str, items: list[Any]) -> Iterable[str]:
        seen: set[str] = set()
        for index, item in enumerate(items):
            if not isinstance(item, str) or not item.strip():
                self.problem(f"{key} must hold texts only, not {_show(item)}", key, index)
            elif item in seen:
                self.problem(f"{key} names {_show(item)} twice", key, index)
            else:
                seen.add(item)
                yield item

    def text_map(self, key: str) -> dict[str, str]:
        """A table of texts."""
        value = self._get(key, {})
        if not isinstance(value, dict):
            self.problem(f"{key} must be a table of texts, not {_show(value)}", key)
            return {}
        for name, item in value.items():
            if not isinstance(item, str):
                self.problem(f"{key}.{name} must be a text, not {_show(item)}", key, name)
        return {name: item for name, item in value.items() if isinstance(item, str)}

    def raw(self, key: str) -> Any:
        """The value as it is, or None where the key is absent."""
        self._asked.append(key)
        return self._values.get(key)

    def table(self, key: str) -> "Table":
        """The table under `key`, empty where the key is absent."""
        value = self._get(key, {})
        if not isinstance(value, dict):
            self.problem(f"{key} must be a table, not {_show(value)}", key)
            value = {}
        return Table(self._document, value, (*self._path, key))

    def tables(self, key: str) -> tuple["Table", ...]:
        """The tables of the array under `key`, which must have one at least."""
        value = self._get(key, None)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.problem(f"{key} must be written as [[{key}]] tables", key)
            return ()
        if not value:
            self.problem(f"{key} must have at least one entry", key)
        path = (*self._path, key)
        return tuple(Table(self._document, item, (*path, at)) for at, item in enumerate(value))

    def close(self) -> None:
        """Note every key of the table that was not asked for."""
        for key in self._values:
            if key not in self._asked:
                self.problem(f"unknown key {_show(key)}{did_you_mean(key, self._asked)}", key)

    def _get(self, key: str, default: Any) -> Any:
        self._asked.append(key)
        if key not in self._values and default is None:
            where = "" if not self._path else f" in [{self._path[0]}]"
            self.problem(f"{key} is missing{where}")
            self.bad.add(key)
        return self._values.get(key, default)


def _show(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _one_of(choices: Collection[str]) -> str:
    *first, last = (f'"{choice}"' for choice in choices)
    return f"{', '.join(first)} or {last}" if first else last
