"""What a pre-training config says, as frozen values, and how it is read from TOML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast, get_args

from polyhead_training.config import open_table, read_training
from polyhead_training.config_types import EncoderConfig, Init, TrainingConfig

if TYPE_CHECKING:
    from pathlib import Path

    from polyhead_training.config_reader import Table
    from polyhead_training.problems import Problems

Objective = Literal["auto", "mlm", "causal", "bidirectional"]
TextFormat = Literal["text", "jsonl", "conllu"]

_NOT_HERE = (
    "label_smoothing",
    "average",
    "layer_decay",
    "sampling",
    "sampling_temperature",
    "consistency",
)
"""Options of training that pre-training has no use for."""


@dataclass(frozen=True, slots=True)
class RecurrentConfig:
    """Sizes of a new recurrent language model."""

    width: int = 256
    """Width of the embedding; 8 to 4096."""
    inner: int = 512
    """Width of the layers of an awd-lstm but the last; 8 to 8192."""
    layers: int = 2
    """Layers, of an elmo in each direction; 1 to 12."""
    weight_dropout: float = 0.2
    """Dropout probability of hidden-to-hidden weights; 0 to 0.9."""
    embedding_dropout: float = 0.05
    """Probability that an awd-lstm loses a sub-word for a whole step; 0 to 0.9."""


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """The sub-words of a new recurrent language model."""

    source: str = ""
    """Hub id or directory whose tokenizer is taken (key: from); empty to train one."""
    vocabulary: int = 8000
    """Sub-words to train; 300 to 250000."""
    lowercase: bool = True
    """Whether the vocabulary is of lower case: fine-tuning adds letter-case shapes."""


@dataclass(frozen=True, slots=True)
class TextsConfig:
    """One set of raw texts."""

    name: str
    """The set's name, ``[a-z0-9_-]{1,64}``, different for each set."""
    format: TextFormat
    """One document a line, JSONL rows, or the text lines of CoNLL-U."""
    files: tuple[str, ...]
    """Files relative to the data directory; ``.gz`` allowed."""
    text: str = "text"
    """JSONL field with the text."""
    passes: float = 1.0
    """Times that training goes through the set; 0.001 to 1000."""
    max_documents: int = 0
    """Documents taken after a seeded shuffle, 0 for all."""
    licence: str = ""
    """Licence of the texts, written into the record."""
    line: int = field(default=1, compare=False)
    """Line of the files in the config."""


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """A whole pre-training run."""

    name: str
    """Name of the encoder to be, ``[a-z0-9_.-]{1,64}``."""
    seed: int
    """Seed of everything random; 0 to 2**32 - 1."""
    objective: Objective
    """What is foretold: masked words, the next one, or the next and the last one."""
    hold_out: int
    """Documents kept from training to measure on; at most a fifth of all; 1 to 1000000."""
    encoder: EncoderConfig
    """What is trained; of its options model, init, max_tokens and dropout."""
    recurrent: RecurrentConfig
    """Sizes, where the model is a new recurrent one."""
    tokenizer: TokenizerConfig
    """Its sub-words."""
    training: TrainingConfig
    """How it is fitted."""
    texts: tuple[TextsConfig, ...]
    """The texts, in the config's order."""
    path: Path
    """The file that the config was read from."""


def read_pretrain_config(path: Path, problems: Problems) -> PretrainConfig | None:
    """Read the config at `path`, noting every problem; None where the file is not TOML."""
    table = open_table(path, problems)
    if table is None:
        return None
    encoder = _encoder(table.table("encoder"))
    config = PretrainConfig(
        name=table.text("name", None, r"[a-z0-9_.-]{1,64}", "1 to 64 of a-z, 0-9, _, - and ."),
        seed=table.integer("seed", 0, 0, 2**32 - 1),
        objective=cast("Objective", table.choice("objective", "auto", get_args(Objective))),
        hold_out=table.integer("hold_out", 500, 1, 1_000_000),
        encoder=encoder,
        recurrent=_recurrent(table.table("recurrent")),
        tokenizer=_tokenizer(table.table("tokenizer")),
        training=_training(table.table("training"), encoder),
        texts=_texts(table.tables("texts")),
        path=path,
    )
    table.close()
    return config


def _encoder(table: Table) -> EncoderConfig:
    default = EncoderConfig()
    config = EncoderConfig(
        model=table.text("model", default.model),
        init=cast("Init", table.choice("init", default.init, get_args(Init))),
        max_tokens=table.integer("max_tokens", 128, 16, 512),
        overlap=0,
        shape_embedding=False,
        dropout=table.number("dropout", default.dropout, 0, 0.9),
    )
    table.close()
    return config


def _training(table: Table, encoder: EncoderConfig) -> TrainingConfig:
    for key in _NOT_HERE:
        if key in table:
            table.problem(f"{key} is not for pre-training", key)
    return read_training(table, encoder)


def _recurrent(table: Table) -> RecurrentConfig:
    default = RecurrentConfig()
    config = RecurrentConfig(
        width=table.integer("width", default.width, 8, 4096),
        inner=table.integer("inner", default.inner, 8, 8192),
        layers=table.integer("layers", default.layers, 1, 12),
        weight_dropout=table.number("weight_dropout", default.weight_dropout, 0, 0.9),
        embedding_dropout=table.number("embedding_dropout", default.embedding_dropout, 0, 0.9),
    )
    table.close()
    return config


def _tokenizer(table: Table) -> TokenizerConfig:
    default = TokenizerConfig()
    config = TokenizerConfig(
        source=table.text("from", "nothing") if "from" in table else "",
        vocabulary=table.integer("vocabulary", default.vocabulary, 300, 250_000),
        lowercase=table.flag("lowercase", default=default.lowercase),
    )
    table.close()
    return config


def _texts(tables: tuple[Table, ...]) -> tuple[TextsConfig, ...]:
    found: list[TextsConfig] = []
    for table in tables:
        texts = _text(table)
        if texts.name in {other.name for other in found}:
            table.problem(f'texts called "{texts.name}" exist already', "name")
        found.append(texts)
    return tuple(found)


def _text(table: Table) -> TextsConfig:
    config = TextsConfig(
        name=table.text("name", None, r"[a-z0-9_-]{1,64}", "1 to 64 of a-z, 0-9, _ and -"),
        format=cast("TextFormat", table.choice("format", None, get_args(TextFormat))),
        files=table.texts("files", required=True, alone=True),
        text=table.text("text", "text"),
        passes=table.number("passes", 1.0, 0.001, 1000),
        max_documents=table.integer("max_documents", 0, 0, 10**9),
        licence=table.text("licence", "not stated"),
        line=table.line("files"),
    )
    table.close()
    return config
