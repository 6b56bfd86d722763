"""Settings from flags and environment variables, with help taken from the settings themselves."""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import types
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from polyhead_server.errors import SettingsError
from polyhead_server.settings import Settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

_PREFIX = "POLYHEAD_"
_TRUTHS = {"true": True, "yes": True, "1": True, "on": True}
_FALSEHOODS = {"false": False, "no": False, "0": False, "off": False}
_NONE = "none"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Give a parser one flag for each setting. Values stay strings: `read` converts them."""
    texts = help_texts()
    for field in fields(Settings):
        default = "none" if field.default is None else _shown(field.default)
        parser.add_argument(
            _flag(field.name),
            dest=field.name,
            metavar=_metavar(_hints()[field.name]),
            **_bare(_hints()[field.name]),
            help=_escaped(f"{texts[field.name]} [{_variable(field.name)}; default {default}]"),
        )


def read(flags: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """Build the settings: a flag beats the environment, which beats the default.

    Args:
        flags: value by name of the setting; None or missing where the flag was not given.
        environment: the process's environment.

    Raises:
        SettingsError: values are wrong; all of them are reported, by flag or variable.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    problems: list[str] = []
    for name, hint in _hints().items():
        origin, raw = _origin(name, flags, environment)
        if raw is None:
            continue
        origins[name] = origin
        try:
            values[name] = _convert(hint, raw)
        except ValueError as error:
            problems.append(f"{origin}: {raw!r} is not {error}")
    return _checked(values, origins, problems)


@cache
def help_texts() -> dict[str, str]:
    """The sentence below each field of the settings, by name of the field."""
    tree = ast.parse(inspect.getsource(Settings)).body[0]
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - that is what Settings is
    texts = {}
    for field, below in itertools.pairwise(tree.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=text)):
                texts[name] = " ".join(str(text).split())
    return texts


def _checked(values: dict[str, Any], origins: dict[str, str], problems: list[str]) -> Settings:
    try:
        settings = Settings(**values)
    except SettingsError as error:
        for problem in error.problems:
            name, _, text = problem.partition(": ")
            problems.append(f"{origins.get(name, _flag(name))}: {text}")
        raise SettingsError(problems) from None
    if problems:
        raise SettingsError(problems)
    return settings


def _origin(
    name: str, flags: Mapping[str, str | None], environment: Mapping[str, str]
) -> tuple[str, str | None]:
    if flags.get(name) is not None:
        return _flag(name), flags[name]
    return _variable(name), environment.get(_variable(name))


def _bare(hint: Any) -> dict[str, Any]:
    """A switch may be given without a value, which turns it on."""
    return {"nargs": "?", "const": "true"} if hint is bool else {}


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _variable(name: str) -> str:
    return _PREFIX + name.upper()


def _shown(default: object) -> str:
    if default is MISSING:
        return "required"
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, Path):
        return "the one that comes with the server"
    return str(default)


@cache
def _hints() -> dict[str, Any]:
    return get_type_hints(Settings)


def _metavar(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "|".join(get_args(hint))
    kinds = {int: "N", float: "SECONDS", bool: "true|false", str: "ADDRESS"}
    return kinds.get(hint, "PATH")


def _convert(hint: Any, raw: str) -> object:
    """Turn a value into its type.

    Raises:
        ValueError: it cannot be; the message says what it should be.
    """
    if get_origin(hint) is Literal:
        return _choice(get_args(hint), raw)
    if get_origin(hint) is types.UnionType:
        return None if raw.lower() in ("", _NONE) else Path(raw)
    converters: dict[Any, Callable[[str], object]] = {
        int: _whole,
        float: _number,
        bool: _truth,
        Path: Path,
        str: str,
    }
    return converters[hint](raw)


def _choice(choices: tuple[str, ...], raw: str) -> str:
    if raw not in choices:
        raise ValueError(f"one of {', '.join(choices)}")
    return raw


def _whole(raw: str) -> int:
    try:
        return int(raw)
    except ValueError:
        raise ValueError("a whole number") from None


def _number(raw: str) -> float:
    try:
        number = float(raw)
    except ValueError:
        raise ValueError("a number") from None
    if not math.isfinite(number):
        raise ValueError("a finite number")
    return number


def _truth(raw: str) -> bool:
    try:
        return (_TRUTHS | _FALSEHOODS)[raw.lower()]
    except KeyError:
        raise ValueError("true or false") from None
