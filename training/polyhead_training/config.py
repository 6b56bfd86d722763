"""Training configs: TOML in, frozen dataclasses out, all problems reported together with lines."""

import re
import tomllib
from pathlib import Path
from typing import cast, get_args

from polyhead_server.fields import NAME, NAME_RULE
from polyhead_training.config_data import read_augmentation, read_data
from polyhead_training.config_lines import key_lines
from polyhead_training.config_modes import with_encoder_modes, with_training_modes
from polyhead_training.config_reader import Document, Table
from polyhead_training.config_sources import read_sources
from polyhead_training.config_types import (
    AugmentConfig,
    Config,
    DistillationConfig,
    EncoderConfig,
    ExportConfig,
    ExportPrecision,
    HeadConfig,
    HeadKind,
    Init,
    Pooling,
    Precision,
    Schedule,
    SourceConfig,
    TrainingConfig,
)
from polyhead_training.problems import Problems, did_you_mean

__all__ = [
    "AugmentConfig",
    "Config",
    "EncoderConfig",
    "ExportConfig",
    "HeadConfig",
    "SourceConfig",
    "TrainingConfig",
    "load_config",
    "open_table",
    "read_config",
    "read_training",
]

_DISTINCT_LABELS = 2


def load_config(path: Path) -> Config:
    """Read the config at `path`; raises `InputError` with every problem in it."""
    problems = Problems()
    config = read_config(path, problems)
    problems.raise_if_any()
    return cast("Config", config)


def read_config(path: Path, problems: Problems) -> Config | None:
    """Read the config at `path`, noting every problem.

    Values with a problem take their defaults, and heads and sources that cannot be used are left
    out, so that the data of the others can still be checked. None where the file is not TOML.
    """
    table = open_table(path, problems)
    return _config(table, path) if table else None


def open_table(path: Path, problems: Problems) -> Table | None:
    """The whole of a TOML file, ready to be read; None, with a problem noted, where it is none."""
    source = _read_text(path, problems)
    if source is None:
        return None
    try:
        values = tomllib.loads(source)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problems.add(path, *_syntax_problem(str(error), source))
        return None
    return Table(Document(str(path), key_lines(source), problems), values)


def _read_text(path: Path, problems: Problems) -> str | None:
    try:
        data = path.read_bytes()
    except OSError as error:
        problems.add(path, 1, f"cannot be read: {error.strerror}")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.add(path, data.count(b"\n", 0, error.start) + 1, "is not valid UTF-8")
        return None


def _syntax_problem(message: str, source: str) -> tuple[int, str]:
    """Line and text of a `tomllib` error, which names its place in words."""
    match = re.search(r"\(at line (\d+), column \d+\)", message)
    line = int(match.group(1)) if match else source.count("\n") + 1
    return line, "is not valid TOML: " + re.sub(r" \(at .*\)$", "", message)


def _config(table: Table, path: Path) -> Config:
    heads_table, sources = table.tables("heads"), table.tables("sources")
    heads = _heads(heads_table)
    declared = {name for head in heads_table if isinstance(name := head.raw("name"), str)}
    encoder = _encoder(table.table("encoder"))
    config = Config(
        name=table.text("name", None, r"[a-z0-9_.-]{1,64}", "1 to 64 of a-z, 0-9, _, - and ."),
        version=table.text("version", None, r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}", "a version"),
        seed=table.integer("seed", 0, 0, 2**32 - 1),
        language=table.text(
            "language", "en", r"[a-z]{2,3}(-[A-Za-z0-9]{1,8})*", "a language tag such as en"
        ),
        encoder=encoder,
        training=read_training(table.table("training"), encoder),
        heads=heads,
        sources=read_sources(sources, heads, declared, str(path)),
        export=_export(table.table("export")),
        data=read_data(table.table("data")),
        augmentation=read_augmentation(table.table("augmentation"), sources),
        distillation=_distillation(table.table("distillation"), declared),
        path=path,
    )
    _check_heads_have_data(heads_table, table)
    table.close()
    return config


def _encoder(table: Table) -> EncoderConfig:
    default = EncoderConfig()
    config = EncoderConfig(
        model=table.text("model", default.model),
        init=cast("Init", table.choice("init", default.init, get_args(Init))),
        max_tokens=table.integer("max_tokens", default.max_tokens, 16, 512),
        overlap=table.integer("overlap", default.overlap, 0, 256),
        shape_embedding=table.flag("shape_embedding", default=default.shape_embedding),
        dropout=table.number("dropout", default.dropout, 0, 0.9),
    )
    config = with_encoder_modes(table, config)
    if not table.bad & {"overlap", "max_tokens"} and config.overlap > config.max_tokens // 2:
        half = config.max_tokens // 2
        message = f"overlap must be at most half of max_tokens ({half}), not {config.overlap}"
        table.problem(message, "overlap" if "overlap" in table else "max_tokens")
    table.close()
    return config


def read_training(table: Table, encoder: EncoderConfig) -> TrainingConfig:
    """The options of training, for windows of the encoder's length."""
    default = TrainingConfig()
    config = TrainingConfig(
        batch_tokens=table.integer("batch_tokens", default.batch_tokens, 16, 1_000_000),
        learning_rate=table.number("learning_rate", default.learning_rate, 0, 1),
        layer_decay=table.number("layer_decay", default.layer_decay, 0.1, 1),
        head_learning_rate=table.number("head_learning_rate", default.head_learning_rate, 1e-8, 1),
        weight_decay=table.number("weight_decay", default.weight_decay, 0, 1),
        schedule=cast("Schedule", table.choice("schedule", default.schedule, get_args(Schedule))),
        warmup=table.number("warmup", default.warmup, 0, 0.9),
        max_grad_norm=table.number("max_grad_norm", default.max_grad_norm, 0.001, 1000),
        label_smoothing=table.number("label_smoothing", default.label_smoothing, 0, 0.5),
        average=table.number("average", default.average, 0, 0.99999),
        validations=table.integer("validations", default.validations, 1, 1000),
        patience=table.integer("patience", default.patience, 0, 1000),
        checkpoint_seconds=table.number("checkpoint_seconds", default.checkpoint_seconds, 0, 86400),
        precision=cast(
            "Precision", table.choice("precision", default.precision, get_args(Precision))
        ),
        threads=table.integer("threads", default.threads, 0, 1024),
    )
    config = with_training_modes(table, config)
    if "batch_tokens" not in table.bad and config.batch_tokens < encoder.max_tokens:
        message = f"batch_tokens must hold one window of max_tokens ({encoder.max_tokens})"
        table.problem(f"{message}, not {config.batch_tokens}", "batch_tokens")
    table.close()
    return config


def _distillation(table: Table, declared: set[str]) -> DistillationConfig:
    default = DistillationConfig()
    config = DistillationConfig(
        weight=table.number("weight", default.weight, 0, 1),
        temperature=table.number("temperature", default.temperature, 0.1, 100),
        heads=table.texts("heads"),
    )
    for at, name in enumerate(config.heads):
        if name not in declared:
            hint = did_you_mean(name, sorted(declared))
            table.problem(f'heads names "{name}", which is not declared{hint}', "heads", at)
    table.close()
    return config


def _export(table: Table) -> ExportConfig:
    default = ExportConfig()
    config = ExportConfig(
        calibration_samples=table.integer(
            "calibration_samples", default.calibration_samples, 1, 100_000
        ),
        precision=cast(
            "ExportPrecision",
            table.choice("precision", default.precision, get_args(ExportPrecision)),
        ),
        calibrate=table.flag("calibrate", default=default.calibrate),
        torch=table.flag("torch", default=default.torch),
    )
    table.close()
    return config


def _heads(tables: tuple[Table, ...]) -> tuple[HeadConfig, ...]:
    heads: list[HeadConfig] = []
    names: set[str] = set()
    for table in tables:
        head = _head(table)
        if head.name and head.name in names:
            table.problem(f'a head called "{head.name}" exists already', "name")
        elif not table.bad & {"name", "kind", "labels"}:
            heads.append(head)
        names.add(head.name)
    return tuple(heads)


def _head(table: Table) -> HeadConfig:
    kind = table.choice("kind", None, get_args(HeadKind))
    head = HeadConfig(
        name=table.text("name", None, NAME.pattern, NAME_RULE),
        kind=cast("HeadKind", kind),
        labels=table.texts("labels", required=True),
        hidden=table.integer("hidden", 0, 0, 8192),
        pooling=cast("Pooling", table.choice("pooling", "mean", get_args(Pooling))),
        weight=table.number("weight", 1.0, 0.001, 1000),
        export=table.flag("export", default=True),
        line=table.line(),
    )
    _check_labels(table, head)
    if "pooling" in table and kind in {"tagging", "spans"}:
        table.problem(f"pooling is for classification heads only, not {kind}", "pooling")
    table.close()
    return head


def _check_labels(table: Table, head: HeadConfig) -> None:
    if "labels" in table.bad:
        return
    for index, label in enumerate(head.labels):
        if not label.isprintable():
            table.problem("a label holds characters that cannot be printed", "labels", index)
    if head.kind == "spans":
        if "O" in head.labels:
            message = "labels of a spans head are the span labels, without O"
            table.problem(message, "labels", head.labels.index("O"))
    elif len(head.labels) < _DISTINCT_LABELS:
        table.problem("labels must be at least two", "labels")


def _check_heads_have_data(heads: tuple[Table, ...], top: Table) -> None:
    """Every declared head needs a source with training files, even a source with problems."""
    sources = top.raw("sources")
    if not isinstance(sources, list):
        return
    trained = {
        str(source.get("head"))
        for source in sources
        if isinstance(source, dict) and "train" in source
    }
    for head in heads:
        name = head.raw("name")
        if isinstance(name, str) and name not in trained:
            head.problem(f'head "{name}" has no source with training files', "name")
