"""Typed reading of a parsed JSON object, with errors that name the field."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, TypeVar

from polyhead_server.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

Choice = TypeVar("Choice", bound=str)

NAME = re.compile(r"[a-z0-9_-]{1,64}")
"""A head's name, as the API promises it."""
NAME_RULE = "1 to 64 of a-z, 0-9, _ and -"


class Fields:
    """The fields of one JSON object.

    Args:
        content: the object.
        path: what to call it in errors.

    Every method raises BundleError where the field is missing or not of its type.
    """

    def __init__(self, content: Mapping[str, Any], path: str) -> None:
        self._content = content
        self._path = path

    def _fault(self, name: str, wanted: str) -> BundleError:
        state = "is not" if name in self._content else "is missing:"
        return BundleError(f"{self._path}: {name} {state} {wanted}")

    def _get(self, name: str, kind: type | tuple[type, ...], wanted: str) -> Any:
        value = self._content.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self._fault(name, wanted)
        return value

    def text(self, name: str) -> str:
        """A string that is not empty."""
        value: str = self._get(name, str, "a string")
        if not value:
            raise self._fault(name, "a string of at least one character")
        if not _is_text(value):
            raise self._fault(name, "valid Unicode")
        return value

    def name(self, name: str) -> str:
        """A head's name."""
        value: str = self._get(name, str, "a string")
        if not NAME.fullmatch(value):
            raise self._fault(name, NAME_RULE)
        return value

    def file(self, name: str) -> str:
        """A path inside the bundle."""
        value = self.text(name)
        if value.startswith("/") or "\\" in value or ".." in value.split("/"):
            raise self._fault(name, "a path inside the bundle")
        return value

    def optional_file(self, name: str) -> str | None:
        """A path inside the bundle; None where the field is missing or null."""
        return None if self._content.get(name) is None else self.file(name)

    def choice(self, name: str, choices: tuple[Choice, ...]) -> Choice:
        """One of the given strings."""
        value = self.text(name)
        for choice in choices:
            if choice == value:
                return choice
        raise self._fault(name, f"one of {', '.join(choices)}")

    def optional_choice(self, name: str, choices: tuple[Choice, ...], default: Choice) -> Choice:
        """One of the given strings; the default where the field is missing."""
        return self.choice(name, choices) if name in self._content else default

    def integer(self, name: str, least: int = 0) -> int:
        """A whole number of at least ``least``."""
        value: int = self._get(name, int, "a whole number")
        if value < least:
            raise self._fault(name, f"a whole number of at least {least}")
        return value

    def number(self, name: str) -> float:
        """A number that is finite: JSON lets NaN in, and whole numbers that no float can hold."""
        value = self._get(name, (int, float), "a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._fault(name, "a finite number")
        return number

    def flag(self, name: str) -> bool:
        """True or false."""
        return bool(self._get(name, bool, "true or false"))

    def optional_flag(self, name: str, *, default: bool) -> bool:
        """True or false; the default where the field is missing."""
        return self.flag(name) if name in self._content else default

    def integers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers, none below 0."""
        value = self._get(name, list, "a list of whole numbers")
        if not all(type(item) is int and item >= 0 for item in value):
            raise self._fault(name, "a list of whole numbers")
        return tuple(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of at least one string, each different and not empty."""
        value = self._get(name, list, "a list of strings")
        good = value and all(isinstance(item, str) and item and _is_text(item) for item in value)
        if not good or len(set(value)) != len(value):
            raise self._fault(name, "a list of different strings")
        return tuple(value)

    def mapping(self, name: str) -> dict[str, Any]:
        """An object."""
        value: dict[str, Any] = self._get(name, dict, "an object")
        return value

    def child(self, name: str) -> Fields:
        """An object, to be read in turn."""
        return Fields(self.mapping(name), f"{self._path}: {name}")

    def items(self, name: str) -> list[Fields]:
        """A list of objects, to be read in turn."""
        value = self._get(name, list, "a list of objects")
        if not all(isinstance(item, dict) for item in value):
            raise self._fault(name, "a list of objects")
        return [Fields(item, f"{self._path}: {name}[{n}]") for n, item in enumerate(value)]


def _is_text(value: str) -> bool:
    """Whether it can be sent: JSON lets lone surrogates in."""
    return not any("\ud800" <= char <= "\udfff" for char in value)
