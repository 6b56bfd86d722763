"""Measures a bundle and writes the page."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from polyhead_training.card import encoder_name
from polyhead_training.checkpoint import HISTORY
from polyhead_training.config import load_config
from polyhead_training.console import open_console
from polyhead_training.data import load_all
from polyhead_training.predict_engine import load_model
from polyhead_training.predictions import counted_labels, measured_config, predictions
from polyhead_training.report import part_sections, sections
from polyhead_training.report.history import read_history
from polyhead_training.report.html import Html, element, escape, join
from polyhead_training.report.judged import decisive, judge
from polyhead_training.report.singles import gaps
from polyhead_training.workshop import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from polyhead_server.bundle import Bundle
    from polyhead_server.model import Model
    from polyhead_training.config import Config
    from polyhead_training.data import SourceData
    from polyhead_training.report.history import History
    from polyhead_training.report.judged import Judged
    from polyhead_training.report.singles import Gap


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a report is made of besides the bundle and the data."""

    config: Path | None = None
    """Configuration with the data; None for the bundle's own."""
    run: Path | None = None
    """Run directory with the history; None for the one beside the bundle, if it is there."""
    singles: tuple[tuple[str, Path], ...] = ()
    """Names, and bundles or run directories, of single-task networks to compare with."""
    texts: bool = True
    """Whether texts of the data are shown."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the page tells."""

    bundle: Bundle
    judged: Sequence[Judged]
    history: History | None
    gaps: Sequence[Gap]


def report(bundle: Path, data: Path, out: Path, wishes: Wishes) -> None:
    """Measure a bundle and write a page about it.

    Args:
        bundle: directory of the bundle.
        data: directory that the configuration's file names are relative to.
        out: the page.
        wishes: what else goes into it.

    Raises:
        InputError: configuration or data have errors.
        TrainingError: the bundle, a run or a single-task network cannot be read.
        OSError: the page cannot be written.
    """
    if not out.parent.is_dir():  # before all is measured
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(out.parent))
    history = _history(bundle, wishes.run)
    model = load_model(bundle)
    config = measured_config(load_config(wishes.config) if wishes.config else None, [model.bundle])
    sources = load_all(config, data)
    judged = _judged(model, config, sources)
    model.close()
    found = gaps(wishes.singles, model.bundle, config, sources, judged)
    text = page(Findings(model.bundle, judged, history, found), data, texts=wishes.texts)
    _write(out, text)
    open_console().print(f"report: {out}", soft_wrap=True, markup=False)


def _write(out: Path, text: str) -> None:
    """Write a page, whole or not at all; into what is no file, such as a pipe, as it comes."""
    if out.exists() and not out.is_file():
        out.write_text(text, encoding="utf-8")
        return
    fresh = out.with_name(f"{out.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(out)
    finally:
        fresh.unlink(missing_ok=True)


def page(findings: Findings, data: Path, *, texts: bool) -> str:
    """The page.

    Args:
        findings: what it tells.
        data: directory of the data.
        texts: whether to show texts of the data.
    """
    bundle, judged = findings.bundle, findings.judged
    main = decisive(judged)
    content = [
        sections.figures(judged),
        sections.curves(findings.history),
        part_sections.by_label(main),
        part_sections.confusions(main),
        part_sections.calibration(main),
        part_sections.mistakes(main, data, texts=texts),
        sections.against_singles(findings.gaps),
        sections.against_torch(judged, bundle),
        sections.data_sets(bundle.manifest.provenance),
        sections.provenance(bundle),
    ]
    own = files("polyhead_training.report")
    return Template(own.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        language="en",
        title=escape(f"{bundle.name} {bundle.version}"),
        style=own.joinpath("page.css").read_text(encoding="utf-8"),
        summary=escape(_summary(bundle)),
        cards=sections.cards(main),
        contents=_contents(content),
        body=join(content),
    )


def _summary(bundle: Bundle) -> str:
    manifest = bundle.manifest
    encoder = f"{encoder_name(manifest, '')}, {manifest.encoder.precision}"
    heads = len(bundle.heads)
    return (
        f"{heads} task{'s' if heads > 1 else ''} from one encoder pass "
        f"({encoder}). Measured with the engine that serves."
    )


_NAMES = {
    "figures": "Figures",
    "curves": "Curves",
    "labels": "By label",
    "confusion": "Confusion",
    "calibration": "Calibration",
    "errors": "Errors",
    "singles": "Single-task",
    "precision": "Precision",
    "data": "Data",
    "provenance": "Provenance",
}


def _contents(content: Sequence[Html | None]) -> Html:
    """Links to the sections that there are."""
    there = [name for name in _NAMES if any(f'<section id="{name}"' in (c or "") for c in content)]
    return element(
        "ul", [element("li", element("a", _NAMES[name], href=f"#{name}")) for name in there]
    )


def _history(bundle: Path, folder: Path | None) -> History | None:
    place = folder or bundle.with_name(bundle.name + ".run")
    return read_history(place) if folder or (place / HISTORY).exists() else None


def _judged(model: Model, config: Config, data: Mapping[str, SourceData]) -> list[Judged]:
    def labels(source: object) -> tuple[str, ...]:
        return counted_labels(config, source, [model.bundle])  # type: ignore[arg-type]

    count = sum(bool(getattr(item, split)) for item in data.values() for split in SPLITS)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        parts = bar.track(predictions(model, config, data, labels), count, description="measuring")
        return [judge(part) for part in parts]
