"""What is asked for when a head is added to a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead_server.fields import NAME, NAME_RULE
from polyhead_training.config_types import Format, HeadConfig, Metric, SourceConfig
from polyhead_training.data.bio import OUTSIDE
from polyhead_training.errors import TrainingError

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_server.bundle import Bundle, Kind, Pooling


_ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".conllu": "conllu",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
}
_FORMATS: dict[Kind, tuple[Format, ...]] = {
    "classification": ("jsonl", "csv"),
    "tagging": ("jsonl", "conllu", "conll"),
    "spans": ("jsonl", "conll"),
}
_METRICS: dict[Kind, tuple[Metric, ...]] = {
    "classification": ("accuracy", "macro_f1"),
    "tagging": ("accuracy", "macro_f1"),
    "spans": ("entity_f1",),
}


@dataclass(frozen=True, slots=True)
class DataOptions:
    """How data files are to be read."""

    form: Format | None = None
    """Their layout; None to go by the ending."""
    text: str = "text"
    label: str = "label"
    words: str = ""
    """Field with a list of words in place of the text; empty for none."""
    tags: str = "tags"
    column: str | int = ""
    """CoNLL-U: upos or xpos. CoNLL: index of the tag's column; empty for the last."""
    delimiter: str = ""
    """CSV: the character between columns; empty for a TAB in .tsv files, a comma in others."""


@dataclass(frozen=True, slots=True)
class HeadOrder:
    """A head to be trained on the features of a finished bundle."""

    bundle: Path
    name: str
    kind: Kind
    data: Path
    """Labelled texts to train on."""
    dev: Path | None = None
    """Texts that choose the regularisation and set the temperature; None for some of ``data``."""
    test: Path | None = None
    """Texts to measure on; None for some of ``data``."""
    out: Path | None = None
    """The new bundle; None to change the one there is."""
    labels: tuple[str, ...] = ()
    """The labels in output order; empty to take those of the data."""
    reading: DataOptions = DataOptions()
    hidden: int = 0
    """Width of a tanh layer, 0 for none."""
    pooling: Pooling = "mean"
    passes: int = 0
    """Passes over the training texts at most; 0 for the default."""
    seed: int = 0
    licence: str = ""
    version: str = ""
    """Version of the new bundle; empty to keep it."""
    replace: bool = False
    """Whether a head of the same name may be replaced."""
    calibrate: bool = True
    threads: int = 0
    """Inference threads, 0 for all."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is measured."""
        return _METRICS[self.kind]

    def head(self, labels: tuple[str, ...]) -> HeadConfig:
        """The head as a training configuration would have it."""
        return HeadConfig(self.name, self.kind, labels, self.hidden, self.pooling)

    def source(self, file: Path) -> SourceConfig:
        """A data file as a training configuration would have it.

        Raises:
            TrainingError: its layout is unknown, or not one for the kind of head.
        """
        reading = self.reading
        form = _format(file, self.kind, reading.form)
        _check_options(file, form, reading)
        return SourceConfig(
            name=_stem(self.data),
            head=self.name,
            format=form,
            text=reading.text,
            label=reading.label,
            words=reading.words,
            tags=reading.tags,
            column=reading.column,
            delimiter=reading.delimiter,
            metric=self.metrics[0],
            licence=self.licence,
        )

    def check(self) -> None:
        """Find what is wrong with the order by itself.

        Raises:
            TrainingError: something is.
        """
        if not NAME.fullmatch(self.name):
            raise TrainingError(f'the name "{self.name}" must be {NAME_RULE}')
        if self.pooling != "mean" and self.kind != "classification":
            raise TrainingError(f"pooling is for classification heads only, not {self.kind}")
        if len(set(self.labels)) != len(self.labels):
            raise TrainingError("labels must be different from each other")
        if self.labels:
            check_labels(self.kind, self.labels)
        for file in filter(None, (self.data, self.dev, self.test)):
            self.source(file)

    def check_bundle(self, bundle: Bundle) -> None:
        """Make sure that a bundle can get the head.

        Raises:
            TrainingError: it has one of the name, or its encoder cannot be read so.
        """
        if not self.replace and any(head.name == self.name for head in bundle.heads):
            raise TrainingError(
                f'{self.bundle} has a head "{self.name}" already: give another --name, or --replace'
            )
        causal = bundle.manifest.tokenizer.word_piece == "last"
        if causal and self.pooling == "first":
            raise TrainingError(
                'pooling "first" takes the vector of a token that, in a causal encoder such as '
                f'that of {self.bundle}, has seen no other: take "last", "mean" or "max"'
            )


def check_labels(kind: Kind, labels: tuple[str, ...]) -> None:
    """Make sure that labels make a head.

    Raises:
        TrainingError: they do not.
    """
    if kind == "spans":
        if OUTSIDE in labels:
            raise TrainingError("labels of a spans head are the span labels, without O")
        if not labels:
            raise TrainingError("the data have no span")
    elif len(labels) < 2:  # noqa: PLR2004 - as many as make a difference
        raise TrainingError(f"a head needs two labels, there is: {', '.join(labels) or 'none'}")


def _format(file: Path, kind: Kind, given: Format | None) -> Format:
    form = given or _ENDINGS.get(_ending(file))
    if form is None:
        raise TrainingError(f"the ending of {file} tells no format: give --format")
    if form not in _FORMATS[kind]:
        wanted = " or ".join(_FORMATS[kind])
        raise TrainingError(f"{file}: data of a {kind} head are {wanted}, not {form}")
    return form


def _check_options(file: Path, form: Format, reading: DataOptions) -> None:
    named = reading.column in {"upos", "xpos"}
    if form == "conllu" and reading.column != "" and not named:
        raise TrainingError(f"{file}: the column of CoNLL-U is upos or xpos, not an index")
    if form == "conll" and named:
        raise TrainingError(f"{file}: the column of CoNLL is an index, not {reading.column}")
    if form == "csv" and reading.delimiter and not _divides(reading.delimiter):
        raise TrainingError(f"{file}: the delimiter must be one character other than a quote")


def _divides(delimiter: str) -> bool:
    return len(delimiter) == 1 and delimiter not in '"\r\n'


def _ending(file: Path) -> str:
    return file.with_suffix("").suffix if file.suffix == ".gz" else file.suffix


def _stem(file: Path) -> str:
    """A data set's name: its file's, without endings."""
    return file.name.removesuffix(".gz").rpartition(".")[0] or file.name
