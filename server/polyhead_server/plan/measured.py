"""Speeds from figures that were measured before: a bench file, or a speed that was written down."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from polyhead_server.errors import SettingsError
from polyhead_server.plan.sizing import Speed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SINGLE, _CPU = "single/", "/server_cpu_per_text"


def read_speed(file: Path) -> Speed:
    """The speed in a file of `make bench`, or in one that `--save` wrote.

    Raises:
        SettingsError: it is neither.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if "medians" in found:
            return _from_bench(found["medians"], str(file))
        a, b, c = map(float, found.pop("run"))
        return Speed(run=(a, b, c), **found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError([f"--measured: {file} holds no figures of speed: {error}"]) from None


def write_speed(speed: Speed, file: Path) -> None:
    """Write a speed down for `read_speed`.

    Raises:
        SettingsError: the file cannot be written.
    """
    try:
        file.write_text(json.dumps(asdict(speed), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"--save: {file} cannot be written: {error.strerror}"]) from None


def _from_bench(medians: dict[str, Any], source: str) -> Speed:
    """Processor time of single texts by length, as a line.

    The bench says what a call takes in all, so that the path is in the line's beginning; what is
    slow now and then is taken to double the time of a text.
    """
    points = [
        (float(length), float(value))
        for key, value in medians.items()
        if key.startswith(_SINGLE)
        and key.endswith(_CPU)
        and (length := key[len(_SINGLE) : -len(_CPU)]).isdigit()
    ]
    if len(points) < 2:  # noqa: PLR2004 - a line has two points
        raise ValueError("needs single texts of two lengths")
    path, token = line_through(points)
    middle = sum(length for length, _ in points) / len(points)
    return Speed((0.0, token, 0.0), path, path + token * middle, source=source)


def line_through(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Beginning and slope of the line of least squares, neither of them negative."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
    slope = min(max(slope, 0.0), mean_y / mean_x)
    return mean_y - slope * mean_x, slope
