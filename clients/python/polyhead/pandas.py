"""Columns of pandas, annotated; needs polyhead[pandas].

import pandas as pd

import polyhead.pandas

reviews = pd.DataFrame({"review": ["I love it", None]})
found = polyhead.pandas.annotate(reviews, "review", client="localhost:50051")
print(reviews.join(found)[["review", "sentiment", "sentiment_score"]])
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from polyhead import (
    Annotation,
    Classification,
    Client,
    Document,
    HeadKind,
    HttpClient,
    Spans,
    Tagging,
    Words,
)
from polyhead._settings import DEFAULT_TARGET
from polyhead._words import is_visible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from polyhead import Task

__all__ = ["annotate"]


def annotate(
    data: pd.Series | pd.DataFrame,
    column: str | None = None,
    *,
    client: Client | HttpClient | str = DEFAULT_TARGET,
    tasks: Iterable[str] | None = None,
    prefix: str = "",
    errors: Literal["raise", "coerce"] = "raise",
) -> pd.DataFrame:
    """Annotate a column of texts, over the bulk stream.

    For each task there are, by its kind: `TASK`, the label, and `TASK_score`, its probability;
    `TASK`, a list of dicts with text, start, end, label and score; or `TASK`, a list of pairs of
    a word and its tag. A cell may also hold a list of words.

    What is missing (None, NaN, NA, text without a visible character, no words) has missing results.

    Args:
        data: A series, or a frame with the column.
        column: The frame's column with the texts.
        client: A client, a target for `Client`, or a URL for `HttpClient`.
        tasks: The tasks; None: all.
        prefix: Stands before the names of the columns.
        errors: What becomes of a text that cannot be annotated: `"raise"` the first such error, or
            `"coerce"`: missing results, and the reason in another column, `error`.

    Returns:
        A frame with the index of the data, to be joined to it.

    Raises:
        KeyError: There is no such column, or no such task.
        ValueError: No column was named for a frame, or one for a series.
        PolyheadError: The server gives no answer, or a text cannot be annotated.
    """
    texts = _column(data, column)
    with _connected(client) as connected:
        bundle = connected.list_tasks()
        kinds = [bundle.task(name) for name in tasks] if tasks is not None else bundle.tasks
        return _annotate(texts, connected, list(kinds), prefix, coerce=errors == "coerce")


def _annotate(
    texts: pd.Series, client: Client | HttpClient, tasks: list[Task], prefix: str, *, coerce: bool
) -> pd.DataFrame:
    cells: dict[str, list[Any]] = {prefix + name: [None] * len(texts) for name in _names(tasks)}
    reasons: list[str | None] = [None] * len(texts)
    documents = ((row, _document(value)) for row, value in enumerate(texts))
    items = ((str(row), document) for row, document in documents if document is not None)
    for outcome in client.annotate_stream(items, [task.name for task in tasks]):
        row = int(outcome.id)
        if outcome.error is not None and coerce:
            reasons[row] = str(outcome.error)
            continue
        for name, cell in _cells(outcome.unwrap()).items():
            cells[prefix + name][row] = cell
    if coerce:
        cells[f"{prefix}error"] = reasons
    scores = {f"{prefix}{name}" for name in _names(tasks, scores_only=True)}
    columns = {
        name: pd.Series(found, index=texts.index, dtype=float if name in scores else object)
        for name, found in cells.items()
    }
    return pd.DataFrame(columns, index=texts.index)


def _column(data: pd.Series | pd.DataFrame, column: str | None) -> pd.Series:
    if isinstance(data, pd.DataFrame):
        if column is None:
            raise ValueError("a frame needs column=...")
        if list(data.columns).count(column) > 1:
            raise ValueError(f"the frame has several columns {column!r}")
        return data[column]
    if not isinstance(data, pd.Series):
        raise TypeError(f"expected a Series or a DataFrame, not {type(data).__name__}")
    if column is not None:
        raise ValueError("a series has no column")
    return data


def _connected(
    client: Client | HttpClient | str,
) -> AbstractContextManager[Client | HttpClient]:
    if not isinstance(client, str):
        return nullcontext(client)
    return HttpClient(client) if client.startswith(("http:", "https:")) else Client(client)


def _document(value: Any) -> Document | None:
    """Give what to annotate; None for what is missing. The client refuses what is no text."""
    if isinstance(value, str):
        return value if is_visible(value) else None
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        words = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(words, list | tuple):
            return Words(words) if words else None
    return None if pd.isna(value) else value


def _names(tasks: list[Task], *, scores_only: bool = False) -> list[str]:
    names = []
    for task in tasks:
        if not scores_only:
            names.append(task.name)
        if task.kind == HeadKind.CLASSIFICATION:
            names.append(f"{task.name}_score")
    return names


def _cells(annotation: Annotation) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for task, result in annotation.items():
        match result:
            case Classification():
                found[task] = result.label
                found[f"{task}_score"] = result.score
            case Spans():
                found[task] = [span.to_dict() for span in result]
            case Tagging():
                found[task] = [(word.text, word.tag) for word in result]
    return found
