"""The `[[sources]]` and their fit with the heads they belong to."""

from dataclasses import replace
from typing import cast, get_args

from polyhead_training.config_data import read_augment, read_vary
from polyhead_training.config_reader import Table
from polyhead_training.config_types import (
    Format,
    HeadConfig,
    HeadKind,
    Metric,
    SourceConfig,
)
from polyhead_training.problems import did_you_mean

_FORMATS: dict[HeadKind, tuple[Format, ...]] = {
    "classification": ("jsonl", "csv", "hub"),
    "tagging": ("jsonl", "conllu", "conll", "hub"),
    "spans": ("jsonl", "conll", "hub"),
}
_UNLABELLED_FORMATS: tuple[Format, ...] = ("jsonl", "text", "conllu", "conll")
_METRICS: dict[HeadKind, tuple[Metric, ...]] = {
    "classification": ("accuracy", "macro_recall", "macro_f1"),
    "tagging": ("accuracy", "macro_recall", "macro_f1"),
    "spans": ("entity_f1",),
}
_READING_KEYS = frozenset(
    ("name", "head", "format", "train", "dev", "test", "text", "label", "words", "tags", "column")
).union(("map", "among", "hub", "hub_config", "hub_revision", "delimiter", "quotes"))
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
    format_ = _format(table)
    unlabelled = table.flag("unlabelled", default=False)
    source = SourceConfig(
        name=table.text("name", None, r"[a-z0-9_-]{1,64}", "1 to 64 of a-z, 0-9, _ and -"),
        head=str(table.raw("head")),
        format=format_,
        train=files["train"],
        dev=files["dev"],
        test=files["test"],
        hub=_optional(table, "hub"),
        hub_config=_optional(table, "hub_config"),
        hub_revision=_optional(table, "hub_revision"),
        text=table.text("text", "text"),
        label=table.text("label", "label"),
        words=_words(table, head),
        tags=table.text("tags", "tags"),
        delimiter=_delimiter(table, format_),
        quotes=_quotes(table, format_),
        column=_column(table, format_),
        map=table.text_map("map"),
        among=table.texts("among"),
        passes=table.number("passes", 1.0, 0.001, 1000),
        max_examples=table.integer("max_examples", 0, 0, 1_000_000_000),
        hold_out=table.integer("hold_out", 0, 0, 1_000_000_000),
        metric=_metric(table, head),
        licence=_optional(table, "licence"),
        augment=read_augment(table.table("augment"), head),
        select=table.flag("select", default=True),
        unlabelled=unlabelled,
        vary=read_vary(table.table("vary"), unlabelled=unlabelled),
        soft_targets=table.flag("soft_targets", default=True),
        config=config,
        lines=_file_lines(table, files),
    )
    if not any(files.values()) and not table.bad & files.keys():
        table.problem("train is missing in [sources]: the source has no files")
    table.close()
    return _fit_to_head(table, source, head) if head else source


def _optional(table: Table, key: str) -> str:
    return "" if table.raw(key) is None else table.text(key, "")


def _format(table: Table) -> Format:
    """The layout of the files; a hub data set needs none written down."""
    hub = "hub" in table
    value = table.choice("format", "hub" if hub else None, get_args(Format))
    if hub and value != "hub":
        table.problem(f"format is for files, but hub names a data set: leave out {value}", "format")
    elif value == "hub" and not hub:
        table.problem('hub is missing: name the data set, such as "owner/name"', "format")
    for key in ("hub_config", "hub_revision"):
        if key in table and not hub:
            table.problem(f"{key} is for sources with hub only", key)
    return cast("Format", value)


def _delimiter(table: Table, format_: str) -> str:
    if "delimiter" not in table:
        return ""
    if format_ not in {"csv", ""}:
        table.problem(f"delimiter is for csv, not {format_}", "delimiter")
    value = table.raw("delimiter")
    if isinstance(value, str) and len(value) == 1 and value not in '"\r\n':
        return value
    table.problem(f"delimiter must be one character other than a quote, not {value!r}", "delimiter")
    return ""


def _quotes(table: Table, format_: str) -> bool:
    if "quotes" in table and format_ not in {"csv", ""}:
        table.problem(f"quotes is for csv, not {format_}", "quotes")
    return table.flag("quotes", default=True)


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


def _file_lines(table: Table, files: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Line of each file, and of the hub data set."""
    lines = {
        name: table.line(key, at) for key, names in files.items() for at, name in enumerate(names)
    }
    return {**lines, str(table.raw("hub")): table.line("hub")} if "hub" in table else lines


def _fit_to_head(table: Table, source: SourceConfig, head: HeadConfig) -> SourceConfig:
    formats = _UNLABELLED_FORMATS if source.unlabelled else _FORMATS[head.kind]
    if source.format and source.format not in formats:
        wanted = " or ".join(formats)
        what = "without labels" if source.unlabelled else f"for a {head.kind} head"
        message = f"format of a source {what} must be {wanted}"
        table.problem(f"{message}, not {source.format}", "format")
    if source.unlabelled and (source.dev or source.test or source.hold_out):
        table.problem("a source without labels has training files only", "unlabelled")
    if source.unlabelled and not source.soft_targets:
        table.problem("a source without labels learns from soft targets alone", "soft_targets")
    if source.unlabelled:
        _check_augment(table, source, head)
    _check_map(table, source, head)
    _check_among(table, source, head)
    return _with_labels_in_order(source, head)


def _check_augment(table: Table, source: SourceConfig, head: HeadConfig) -> None:
    """Refuse what goes by the tags of words: a source without labels has none."""
    if source.augment.mention:
        table.problem("mention is for sources with labels", "augment", "mention")
    if head.kind == "classification":
        return
    for key in ("synonym", "lemma"):
        if getattr(source.augment, key):
            message = f"{key} is for sources with labels: these say which words are names or spans"
            table.problem(message, "augment", key)


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
