"""How the figures went during training, from a run's history."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polyhead_training.checkpoint import HISTORY
from polyhead_training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure against the progress of training."""

    name: str
    values: tuple[float, ...]
    fraction: bool
    """Whether it is from 0 to 1 and shown in percent."""


@dataclass(frozen=True, slots=True)
class History:
    """What a run noted at its validations."""

    steps: tuple[float, ...]
    seconds: tuple[float, ...]
    curves: tuple[Curve, ...]
    best: int
    """Place of the validation whose weights were kept."""
    figures: tuple[dict[str, Any], ...]
    """Those of that validation."""


def read_history(folder: Path) -> History:
    """Read the history in a run directory.

    Raises:
        TrainingError: there is none, or it is damaged.
    """
    file = folder / HISTORY
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line.strip()]
        return _history(entries)
    except FileNotFoundError:
        raise TrainingError(f"{folder} is no run directory: it has no {HISTORY}") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise TrainingError(f"{file} is not the history of a run") from None


def _history(entries: Sequence[dict[str, Any]]) -> History:
    best = _best(entries)
    return History(
        steps=tuple(float(entry["step"]) for entry in entries),
        seconds=tuple(float(entry["seconds"]) for entry in entries),
        curves=_curves(entries),
        best=best,
        figures=tuple(entries[best]["figures"]),
    )


def _best(entries: Sequence[dict[str, Any]]) -> int:
    """The last entry whose weights were kept, where entries tell; else that of the best score."""
    kept = [place for place, entry in enumerate(entries) if entry.get("best")]
    return kept[-1] if kept else max(range(len(entries)), key=lambda n: float(entries[n]["score"]))


def _curves(entries: Sequence[dict[str, Any]]) -> tuple[Curve, ...]:
    names = [_name(item) for item in entries[0]["figures"]]
    rows = [{_name(item): float(item["value"]) for item in entry["figures"]} for entry in entries]
    loss = Curve("training loss", tuple(float(entry["loss"]) for entry in entries), fraction=False)
    whole = [name for name in names if all(name in row for row in rows)]
    return (
        loss,
        *(Curve(name, tuple(row[name] for row in rows), fraction=True) for name in whole),
    )


def _name(item: dict[str, Any]) -> str:
    return f"{item['source']} {item['metric']}"
