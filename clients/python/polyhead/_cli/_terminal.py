"""The terminal: consoles, colours, bars, and text that is safe to print."""

from __future__ import annotations

import sys
from typing import NoReturn

from rich.console import Console

# No red: it would judge a label.
_COLOURS = ("yellow", "cyan", "magenta", "green", "blue", "bright_magenta", "bright_cyan")
_EIGHTHS = " ▏▎▍▌▋▊▉"
_CONTROL = {code: 0x2400 + code for code in range(32) if code not in (9, 10)}
_CONTROL |= {9: 32, 127: 0x2421} | dict.fromkeys(range(128, 160), 0xFFFD)


class _Console(Console):
    """Leaves a closed pipe to the command, which ends quietly."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def make_console(*, stderr: bool = False) -> Console:
    """Make a console that prints what it is given: no markup, no emoji codes, no guesses."""
    return _Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def complain(message: str) -> None:
    """Say on stderr what went wrong."""
    sys.stderr.write(f"polyhead: {visible(message)}\n")
    sys.stderr.flush()


def visible(text: str) -> str:
    """Replace control characters by pictures of them, one for one.

    A text from elsewhere must not move the cursor, or tell the terminal anything.
    """
    return text.translate(_CONTROL)


class Palette:
    """Gives each label of a task a colour of its own, in the order in which they turn up."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, int]] = {}

    def colour(self, task: str, label: str) -> str:
        """Give a label its colour."""
        labels = self._seen.setdefault(task, {})
        return _COLOURS[labels.setdefault(label, len(labels)) % len(_COLOURS)]


def bar(share: float, width: int, *, plain: bool) -> str:
    """Draw a share from 0 to 1 over so many cells; plain: in ASCII."""
    share = min(1.0, max(0.0, share))
    if plain:
        return ("#" * round(share * width)).ljust(width)
    full, rest = divmod(round(share * width * 8), 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width)
