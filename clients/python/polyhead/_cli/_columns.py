"""What an annotated row looks like in a table: its columns, and its cells."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from datetime import date, time
from typing import TYPE_CHECKING, Any

from polyhead import HeadKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BUNDLE, ERROR = "bundle_version", "error"
_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, and `string`, `boolean`, `integer`, `number`, `spans` or `tagging`."""

    name: str
    type: str


def added(tasks: Sequence[tuple[str, str]], prefix: str) -> list[Column]:
    """Give the columns that annotating adds.

    Args:
        tasks: Names and kinds of the tasks.
        prefix: Stands before each column's name.
    """
    columns = []
    for name, kind in tasks:
        if kind == HeadKind.CLASSIFICATION:
            columns += [Column(prefix + name, "string"), Column(f"{prefix}{name}_score", "number")]
        elif kind in (HeadKind.SPANS, HeadKind.TAGGING):
            columns.append(Column(prefix + name, kind))
    return [*columns, Column(prefix + BUNDLE, "string"), Column(prefix + ERROR, "string")]


def cells(record: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Give the added cells of one row by column name.

    Args:
        record: What became of the row: see `_journal`.
        prefix: As in `added`.
    """
    if "error" in record:
        error = record["error"]
        return {prefix + ERROR: f"{error['status']}: {error['message']}"}
    annotation = record["annotation"]
    found = {prefix + BUNDLE: annotation["bundle_version"]}
    for task, result in annotation["results"].items():
        if "label" in result:
            found[prefix + task] = result["label"]
            found[f"{prefix}{task}_score"] = result["score"]
        else:
            found[prefix + task] = result["spans"] if "spans" in result else result["words"]
    return found


class Scan:
    """Finds columns and their types by looking at every row."""

    def __init__(self) -> None:
        self._types: dict[str, str] = {}

    def see(self, fields: Mapping[str, Any]) -> None:
        """Look at a row."""
        for name, value in fields.items():
            known, found = self._types.get(name, ""), _type(value)
            if not found or known in (found, "string"):
                self._types.setdefault(name, "")
            elif not known or {known, found} == {"integer", "number"}:
                self._types[name] = "number" if known else found
            else:
                self._types[name] = "string"

    def columns(self) -> list[Column]:
        """Give what was found, in the order in which it turned up."""
        return [Column(name, found or "string") for name, found in self._types.items()]


def fit(fields: Mapping[str, Any], columns: Iterable[Column]) -> dict[str, Any]:
    """Give a row's values as their columns' types take them."""
    return {column.name: _fitting(fields.get(column.name), column.type) for column in columns}


def as_text(value: Any) -> str:
    """Give a value as a cell of CSV: text as it is, nothing as nothing, the rest as JSON."""
    if value is None:
        return ""
    return encodable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def encodable(text: str) -> str:
    """Give a text without what UTF-8 cannot carry: lone surrogates are spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def plain(value: Any) -> Any:
    """Give a value as JSON knows it: dates by ISO 8601, bytes by base64, NaN as nothing."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return _spelt(value)


def _spelt(value: Any) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _type(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "boolean"
        case int() if value in _INTEGERS:
            return "integer"
        case float():
            return "number"
        case _:
            return "string"


def _fitting(value: Any, type_name: str) -> Any:
    if value is None:
        return None
    if type_name == "string":
        return as_text(value)
    return float(value) if type_name == "number" else value
