"""Errors in what a person wrote: configs and data files, gathered and reported together."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SHOWN_PER_FILE = 50
"""Problems of one file that are printed; the others are counted."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in an input file."""

    file: str
    """Path of the file, as the person named it."""
    line: int
    """Line number, from 1."""
    message: str
    """What is wrong, and where possible what would be right."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class InputError(Exception):
    """A config or data file cannot be used; carries every problem found, sorted.

    Its text is one ``file:line: message`` a line, at most ``SHOWN_PER_FILE`` for each file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        lines: list[str] = []
        shown: Counter[str] = Counter()
        for problem in self.problems:
            shown[problem.file] += 1
            if shown[problem.file] <= SHOWN_PER_FILE:
                lines.append(str(problem))
        hidden = {file: count - SHOWN_PER_FILE for file, count in shown.items()}
        lines += [f"{file}: ... and {count} more" for file, count in hidden.items() if count > 0]
        return "\n".join(lines)


class Problems:
    """Collects problems so that all of them can be reported at once."""

    def __init__(self) -> None:
        self._found: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, file: object, line: int, message: str) -> None:
        """Note one problem; `file` is anything whose text is the path, `line` counts from 1."""
        self._found.append(Problem(str(file), line, message))

    def raise_if_any(self) -> None:
        """Raise `InputError` with everything noted so far, or do nothing."""
        if self._found:
            raise InputError(self._found)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A parenthesis that suggests the known word nearest to `word`, or an empty text."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""


def absent(name: str, fields: Mapping[str, object]) -> str:
    """What is said of a field without a value: it is null, or missing and what may be meant."""
    state = "null" if name in fields else f"missing{did_you_mean(name, fields)}"
    return f'field "{name}" is {state}'
