"""Settings from flags and environment variables, with help taken from the settings themselves."""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import types
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from polyhead_server.errors import SettingsError
from polyhead_server.gateway.settings import GatewaySettings
from polyhead_server.settings import Settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

SettingsT = TypeVar("SettingsT", Settings, GatewaySettings)

_TRUTHS = {"true": True, "yes": True, "1": True, "on": True}
_FALSEHOODS = {"false": False, "no": False, "0": False, "off": False}
_NONE = "none"
_UNIONS = (types.UnionType, Union)
_METAVARS = {
    "bulk_share": "PART",
    "trace_sample": "PART",
    "engine": "NAME",
    "client_rate": "N",
    "client_burst": "N",
    "client_chars_per_second": "N",
    "client_chars_burst": "N",
}
"""How help calls the values of settings whose type does not tell: most numbers are seconds."""


@dataclass(frozen=True, slots=True)
class Options(Generic[SettingsT]):
    """The flags and environment variables of one command's settings."""

    kind: type[SettingsT]
    """The class of the settings."""
    prefix: str
    """What their environment variables begin with."""

    def add_flags(self, parser: argparse.ArgumentParser) -> None:
        """Give a parser one flag for each setting. Values stay strings: `read` converts them."""
        texts = self.help_texts()
        hints = _hints(self.kind)
        for field in fields(self.kind):
            hint = hints[field.name]
            default = _shown(field.default)
            variable = self._variable(field.name)
            parser.add_argument(
                _flag(field.name),
                dest=field.name,
                metavar=_METAVARS.get(field.name) or _metavar(hint),
                **_arity(hint),
                help=_escaped(f"{texts[field.name]} [{variable}; default {default}]"),
            )

    def read(
        self, flags: Mapping[str, str | Sequence[str] | None], environment: Mapping[str, str]
    ) -> SettingsT:
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
        for name, hint in _hints(self.kind).items():
            origin, raw = self._origin(name, flags, environment)
            if raw is None:
                continue
            origins[name] = origin
            try:
                values[name] = _convert(hint, raw)
            except ValueError as error:
                problems.append(f"{origin}: {raw!r} is not {error}")
        return self._checked(values, origins, problems)

    def flags(self, settings: SettingsT) -> dict[str, str]:
        """What `read` has to be given as flags to build the same settings."""
        return {field.name: _raw(getattr(settings, field.name)) for field in fields(self.kind)}

    def help_texts(self) -> dict[str, str]:
        """The sentence below each field of the settings, by name of the field."""
        return _TEXTS[self.kind]

    def _checked(
        self, values: dict[str, Any], origins: dict[str, str], problems: list[str]
    ) -> SettingsT:
        try:
            settings = self.kind(**values)
        except SettingsError as error:
            for problem in error.problems:
                name, _, text = problem.partition(": ")
                problems.append(f"{origins.get(name, _flag(name))}: {text}")
            raise SettingsError(problems) from None
        if problems:
            raise SettingsError(problems)
        return settings

    def _origin(
        self,
        name: str,
        flags: Mapping[str, str | Sequence[str] | None],
        environment: Mapping[str, str],
    ) -> tuple[str, str | None]:
        given = flags.get(name)
        if given is not None:
            return _flag(name), given if isinstance(given, str) else ",".join(given)
        return self._variable(name), environment.get(self._variable(name))

    def _variable(self, name: str) -> str:
        return self.prefix + name.upper()


SERVE = Options(Settings, "POLYHEAD_")
"""Options of `polyhead-server serve`."""
GATEWAY = Options(GatewaySettings, "POLYHEAD_GATEWAY_")
"""Options of `polyhead-server gateway`."""


def _texts(kind: type[Any]) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(kind)).body[0]
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - that is what settings are
    texts = {}
    for field, below in itertools.pairwise(tree.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=text)):
                texts[name] = " ".join(str(text).split())
    return texts


# Read once, while there is one thread: CPython 3.11's `ast.parse` fails where two threads are in it
# at a time, and whoever formats a traceback is in it.
_TEXTS: dict[type[Any], dict[str, str]] = {
    kind: _texts(kind) for kind in (Settings, GatewaySettings)
}


def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


def _arity(hint: Any) -> dict[str, Any]:
    """A switch may be given without a value, which turns it on; a list takes any number."""
    if hint is bool:
        return {"nargs": "?", "const": "true"}
    return {"nargs": "+", "action": "extend"} if get_origin(hint) is tuple else {}


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(default: object) -> str:
    if default is MISSING:
        return "required"
    if isinstance(default, bool):
        return "true" if default else "false"
    if isinstance(default, Path):
        return "the one that comes with the server"
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or _NONE
    return _NONE if default is None else str(default)


def _metavar(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "|".join(get_args(hint))
    if get_origin(hint) is tuple:
        return "LIST"
    if get_origin(hint) in _UNIONS:
        first, second = get_args(hint)
        words = get_args(second)
        if words:
            return "|".join((_metavar(first), *words))
        return "PATH" if first is Path else "TEXT"
    return {int: "N", float: "SECONDS", bool: "true|false", str: "ADDRESS"}.get(hint, "PATH")


def _convert(hint: Any, raw: str) -> object:
    """Turn a value into its type.

    Raises:
        ValueError: it cannot be; the message says what it should be.
    """
    if get_origin(hint) is Literal:
        return _choice(get_args(hint), raw)
    if get_origin(hint) is tuple:
        absent = _is_absent(raw)
        return () if absent else tuple(part.strip() for part in raw.split(",") if part.strip())
    if get_origin(hint) in _UNIONS:
        return _either(get_args(hint), raw)
    converters: dict[Any, Callable[[str], object]] = {
        int: _whole,
        float: _number,
        bool: _truth,
        Path: Path,
        str: str,
    }
    return converters[hint](raw)


def _either(hints: tuple[Any, ...], raw: str) -> object:
    """A type or nothing, or a type or certain words."""
    if type(None) in hints:
        return None if _is_absent(raw) else _convert(hints[0], raw)
    words = get_args(hints[1])
    if raw in words:
        return raw
    try:
        return _convert(hints[0], raw)
    except ValueError as error:
        raise ValueError(f"{error} or {' or '.join(words)}") from None


def _is_absent(raw: str) -> bool:
    return raw.lower() in ("", _NONE)


def _raw(value: object) -> str:
    """What `_convert` turns into this value."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, Path):  # one of that name is not to be taken for none
        return str(value.absolute())
    return _NONE if value is None else str(value)


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
