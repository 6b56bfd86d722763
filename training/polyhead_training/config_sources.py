"""The `[[sources]]` and their fit with the heads they belong to."""

from dataclasses import replace
from typing import cast, get_args

from polyhead_training.config_reader import Table
from polyhead_training.config_types import (
    AugmentConfig,
    Format,
    HeadConfig,
    HeadKind,
    Metric,
    SourceConfig,
)
from polyhead_training.problems import did_you_mean

_FORMATS: dict[HeadKind, tuple[Format, ...]] = {
    "classification": ("jsonl", "csv"),
    "tagging": ("jsonl", "conllu", "conll"),
    "spans": ("jsonl", "conll"),
}
_METRICS: dict[HeadKind, tuple[Metric, ...]] = {
    "classification": ("accuracy", "macro_recall", "macro_f1"),
    "tagging": ("accuracy", "macro_recall", "macro_f1"),
    "spans": ("entity_f1",),
}
_READING_KEYS = frozenset(
    ("name", "head", "format", "train", "dev", "test", "text", "label", "words", "tags", "column")
).union(("map", "among"))
_LARGEST_COLUMN = 1000


def read_sources(
    tables: tuple[Table, ...], heads: tuple[HeadConfig, ...], declared: set[str], config: str
) -> tuple[SourceConfig, ...]:
    """Read every source, noting problems; those whose files cannot be read are left out.

    `declared` are the names of all heads, also of those with problems, which `heads` lacks.
    """
    by_name = {head.name: head for head in heads}
    sources: list[SourceConfig] = []
    names: set[str] = set()
    for table in tables:
        head = _head_of(table, by_name, declared)
        source = _source(table, head, config)
        if source.name and source.name in names:
            table.problem(f'a source called "{source.name}" exists already', "name")
        elif head and not table.bad & _READING_KEYS:
            sources.append(source)
        names.add(source.name)
    return tuple(sources)


def _head_of(table: Table, heads: dict[str, HeadConfig], declared: set[str]) -> HeadConfig | None:
    name = table.text("head", None)
    if name and name not in declared:
        hint = did_you_mean(name, sorted(declared))
        table.problem(f'head "{name}" is not declared{hint}', "head")
    return heads.get(name)


def _source(table: Table, head: HeadConfig | None, config: str) -> SourceConfig:
    files = {key: table.texts(key, alone=True) for key in ("train", "dev", "test")}
    format_ = cast("Format", table.choice("format", None, get_args(Format)))
    source = SourceConfig(
        name=table.text("name", None, r"[a-z0-9_-]{1,64}", "1 to 64 of a-z, 0-9, _ and -"),
        head=str(table.raw("head")),
        format=format_,
        **files,
        text=table.text("text", "text"),
        label=table.text("label", "label"),
        words=_words(table, head),
        tags=table.text("tags", "tags"),
        column=_column(table, format_),
        map=table.text_map("map"),
        among=table.texts("among"),
        passes=table.number("passes", 1.0, 0.001, 1000),
        max_examples=table.integer("max_examples", 0, 0, 1_000_000_000),
        hold_out=table.integer("hold_out", 0, 0, 1_000_000_000),
        metric=_metric(table, head),
        licence=table.text("licence", "") if "licence" in table else "",
        augment=_augment(table.table("augment"), head),
        select=table.flag("select", default=True),
        config=config,
        lines=_file_lines(table, files),
    )
    if not any(files.values()) and not table.bad & files.keys():
        table.problem("train is missing in [sources]: the source has no files")
    table.close()
    return _fit_to_head(table, source, head) if head else source


def _words(table: Table, head: HeadConfig | None) -> str:
    of_words = head is not None and head.kind != "classification"
    return table.text("words", "words") if of_words or "words" in table else ""


def _metric(table: Table, head: HeadConfig | None) -> Metric:
    if head is None:
        return cast("Metric", table.choice("metric", "accuracy", get_args(Metric)))
    metrics = _METRICS[head.kind]
    value = table.choice("metric", metrics[0], get_args(Metric))
    if value not in metrics:
        wanted = " or ".join(metrics)
        table.problem(f"metric of a {head.kind} head must be {wanted}, not {value}", "metric")
    return cast("Metric", value)


def _column(table: Table, format_: str) -> str | int:
    """The tag column; named in CoNLL-U, counted in CoNLL, absent elsewhere."""
    if format_ == "conllu":
        return table.choice("column", "upos", ("upos", "xpos"))
    if format_ == "conll":
        return table.integer("column", -1, -_LARGEST_COLUMN, _LARGEST_COLUMN)
    if "column" in table and format_:
        table.problem(f"column is for conllu and conll, not {format_}", "column")
    table.raw("column")
    return ""


def _augment(table: Table, head: HeadConfig | None) -> AugmentConfig:
    config = AugmentConfig(
        lower=table.number("lower", 0.0, 0, 1),
        upper=table.number("upper", 0.0, 0, 1),
        title=table.number("title", 0.0, 0, 1),
        join=table.number("join", 0.0, 0, 1),
        typo=table.number("typo", 0.0, 0, 1),
    )
    if config.lower + config.upper + config.title > 1:
        table.problem("lower, upper and title must be at most 1 together")
    if config.join and head and head.kind == "classification":
        table.problem("join is for sources of words, not for classification", "join")
    table.close()
    return config


def _file_lines(table: Table, files: dict[str, tuple[str, ...]]) -> dict[str, int]:
    return {
        name: table.line(key, at) for key, names in files.items() for at, name in enumerate(names)
    }


def _fit_to_head(table: Table, source: SourceConfig, head: HeadConfig) -> SourceConfig:
    formats = _FORMATS[head.kind]
    if source.format and source.format not in formats:
        wanted = " or ".join(formats)
        message = f"format of a source for a {head.kind} head must be {wanted}"
        table.problem(f"{message}, not {source.format}", "format")
    _check_map(table, source, head)
    _check_among(table, source, head)
    return _with_labels_in_order(source, head)


def _check_map(table: Table, source: SourceConfig, head: HeadConfig) -> None:
    for old, new in source.map.items():
        if not new and head.kind == "tagging":
            table.problem(f'map drops "{old}", but every word needs a tag', "map", old)
        elif new and new not in head.labels:
            hint = did_you_mean(new, head.labels)
            message = f'map names "{new}", which is no label of head "{head.name}"{hint}'
            table.problem(message, "map", old)
        elif new and source.among and new not in source.among:
            table.problem(f'map names "{new}", which is not in among', "map", old)


def _check_among(table: Table, source: SourceConfig, head: HeadConfig) -> None:
    written = table.raw("among")
    for label in source.among:
        if label not in head.labels:
            hint = did_you_mean(label, head.labels)
            message = f'among names "{label}", which is no label of head "{head.name}"{hint}'
            table.problem(message, "among", written.index(label))


def _with_labels_in_order(source: SourceConfig, head: HeadConfig) -> SourceConfig:
    chosen = source.among or head.labels
    return replace(source, among=tuple(label for label in head.labels if label in chosen))
