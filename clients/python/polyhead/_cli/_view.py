"""The terminal view of one annotated document. It knows kinds of results, not names of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from polyhead import Annotation, Classification, OffsetUnit, Span, Spans, Tagging
from polyhead._cli._terminal import Palette, bar, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from polyhead._cli._inputs import Entry

_BAR_CELLS = 14
_GAP = 2  # cells between a word and the next
_MOST_LABELS = 6
_CODINGS = {OffsetUnit.UTF8_BYTE: ("utf-8", 1), OffsetUnit.UTF16: ("utf-16-le", 2)}


class View:
    """Prints annotated documents; a label keeps its colour from one to the next."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._palette = Palette()

    def show(self, entry: Entry, annotation: Annotation) -> None:
        """Print one annotated document."""
        for block in self._blocks(entry, annotation):
            self._console.print(block)
            self._console.print()

    def _blocks(self, entry: Entry, annotation: Annotation) -> Iterator[RenderableType]:
        text, unit = str(entry.document), annotation.info.offset_unit
        finders = [(name, r) for name, r in annotation.items() if isinstance(r, Spans)]
        if entry.place:
            yield _title(entry.place)
        task, spans = finders[0] if finders else ("", Spans(()))
        yield self._running_text(task, spans, text, unit, style="bold")
        classifiers = [(name, r) for name, r in annotation.items() if isinstance(r, Classification)]
        if classifiers:
            grids = [self._classification(name, result) for name, result in classifiers]
            yield Columns(grids, padding=(1, 4))
        for name, result in finders:
            marked = None if result is spans else self._running_text(name, result, text, unit)
            yield self._spans(name, result, marked)
        for name, tags in annotation.items():
            if isinstance(tags, Tagging):
                yield self._tagging(name, tags)
        yield _footer(annotation)

    def _classification(self, task: str, result: Classification) -> Table:
        for entry in result.scores:
            self._palette.colour(task, entry.label)
        winner = f"bold {self._palette.colour(task, result.label)}"
        grid = Table.grid(padding=(0, 1))
        for justify in ("left", "left", "right"):
            grid.add_column(justify=justify, no_wrap=True)
        for label, score in _shown_scores(result):
            style = winner if label == result.label else "dim"
            drawn = bar(score, _BAR_CELLS, plain=self._console.options.ascii_only)
            grid.add_row(visible(label), drawn, f"{score:.1%}", style=style)
        block = Table.grid()
        best = (visible(result.label), winner)
        block.add_row(Text.assemble(_heading(task), "  ", best, f"  {result.score:.1%}"))
        block.add_row(grid)
        if len(result.scores) > _MOST_LABELS:
            block.add_row(Text(f"and {len(result.scores) - _MOST_LABELS} more labels", style="dim"))
        return block

    def _spans(self, task: str, result: Spans, marked: Text | None) -> Group:
        """List the spans, under a running text of their own where one is given."""
        lines: list[RenderableType] = [_heading(task), *([marked] if marked else [])]
        if not result.spans:
            return Group(*lines, Text("none", style="dim"))
        grid = Table.grid(padding=(0, _GAP))
        grid.add_column(overflow="fold")
        grid.add_column(no_wrap=True)
        for _ in range(2):
            grid.add_column(justify="right", no_wrap=True)
        for span in result.spans:
            colour = self._palette.colour(task, span.label)
            label = Text(visible(span.label), style=f"bold {colour}")
            place = Text(f"{span.start}-{span.end}", style="dim")
            grid.add_row(Text(_one_line(span.text)), label, f"{span.score:.1%}", place)
        return Group(*lines, grid)

    def _running_text(
        self, task: str, spans: Spans, text: str, unit: OffsetUnit, style: str = ""
    ) -> Text:
        """Give the text with its spans marked: in colour and, for those without, in brackets."""
        shown, end = visible(text), 0
        running = Text(style=style)
        for span, (start, behind) in zip(spans, _code_points(text, spans, unit), strict=True):
            running.append(shown[end:start])
            running.append_text(self._mark(task, shown[start:behind], span))
            end = behind
        running.append(shown[end:])
        return running

    def _mark(self, task: str, surface: str, span: Span) -> Text:
        colour = self._palette.colour(task, span.label)
        return Text.assemble(
            ("[", f"not bold {colour}"),
            (surface, f"underline {colour}"),
            (f" {visible(span.label)}]", f"not bold {colour}"),
        )

    def _tagging(self, task: str, result: Tagging) -> Group:
        """Give words above their tags, in columns, wrapped at the width of the terminal."""
        lines: list[RenderableType] = [_heading(task)]
        above, below, used = Text(no_wrap=True), Text(no_wrap=True), 0
        for word in result:
            surface, tag = _one_line(word.text), visible(word.tag)
            width = max(cell_len(surface), cell_len(tag))
            if used and used + _GAP + width > self._console.width:
                lines += [above, below]
                above, below, used = Text(no_wrap=True), Text(no_wrap=True), 0
            gap = " " * _GAP if used else ""
            above.append(gap + surface + " " * (width - cell_len(surface)))
            style = self._palette.colour(task, word.tag)
            below.append(gap + tag + " " * (width - cell_len(tag)), style=style)
            used += len(gap) + width
        return Group(*lines, above, below)


def _title(place: str) -> Rule:
    return Rule(Text(visible(place), style="dim"), align="left", style="dim")


def _heading(task: str) -> Text:
    return Text(visible(task), style="bold")


def _one_line(text: str) -> str:
    return visible(text).replace("\n", " ")


def _shown_scores(result: Classification) -> list[tuple[str, float]]:
    """Give the scores in the head's order; of many labels only the likeliest."""
    scores = [(entry.label, entry.score) for entry in result.scores]
    if len(scores) <= _MOST_LABELS:
        return scores
    return sorted(scores, key=lambda entry: -entry[1])[:_MOST_LABELS]


def _code_points(text: str, spans: Spans, unit: OffsetUnit) -> Iterable[tuple[int, int]]:
    if unit not in _CODINGS:
        return [(span.start, span.end) for span in spans]
    coding, size = _CODINGS[unit]
    data = text.encode(coding)

    def place(offset: int) -> int:
        return len(data[: offset * size].decode(coding, "ignore"))

    return [(place(span.start), place(span.end)) for span in spans]


def _footer(annotation: Annotation) -> Text:
    info = annotation.info
    pieces = [f"bundle {info.bundle_version}", _plural(annotation.tokens, "token")]
    if annotation.windows > 1:
        pieces.append(f"read in {annotation.windows} windows")
    stages = info.timings.to_dict()
    pieces += [f"{stage} {seconds * 1000:.1f} ms" for stage, seconds in stages.items()]
    return Text(visible(" · ".join(pieces)), style="dim")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
