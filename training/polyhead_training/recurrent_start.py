"""The start of a new recurrent language model: its sizes and its tokenizer, as a directory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer

from polyhead_training.pretrained import only_local
from polyhead_training.recurrent import AwdLstmConfig, ElmoConfig
from polyhead_training.vocabularies import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from polyhead_training.pretrain_config import PretrainConfig

ARCHITECTURES = ("awd-lstm", "elmo")
"""What may be named in the place of an encoder to get a new one."""

_MARK = "made-from.txt"
_BETWEEN = "\x1e"


def start_recurrent(
    config: PretrainConfig, texts: Mapping[str, Sequence[str]], folder: Path, architecture: str
) -> Path:
    """Write the configuration and the tokenizer of a new model, for it to be built from.

    What lies there already, for the same configuration and texts, is taken as it is: a run that is
    taken up again must find the very same sub-words.

    Args:
        config: sizes, and where the tokenizer comes from.
        texts: documents to train a tokenizer on, none of them held out.
        folder: the directory.
        architecture: "awd-lstm" or "elmo".

    Returns:
        The directory.

    Raises:
        OSError: the tokenizer that is to be taken is not to be had.
    """
    mark = _fingerprint(config, texts, architecture)
    noted = folder / _MARK
    if noted.is_file() and noted.read_text(encoding="utf-8") == mark:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(config, texts)
    tokenizer.save_pretrained(folder)
    _settings(config, architecture, len(tokenizer)).save_pretrained(folder)
    noted.write_text(mark, encoding="utf-8")
    return folder


def _tokenizer(config: PretrainConfig, texts: Mapping[str, Sequence[str]]) -> Any:
    source = config.tokenizer.source
    if source:
        return AutoTokenizer.from_pretrained(source, local_files_only=only_local(source))
    return train_tokenizer(config.tokenizer, (text for part in texts.values() for text in part))


def _settings(config: PretrainConfig, architecture: str, vocabulary: int) -> Any:
    sizes = config.recurrent
    if architecture == "elmo":
        return ElmoConfig(
            vocab_size=vocabulary,
            embedding_size=sizes.width,
            num_hidden_layers=sizes.layers,
            dropout=config.encoder.dropout,
            weight_dropout=sizes.weight_dropout,
        )
    return AwdLstmConfig(
        vocab_size=vocabulary,
        hidden_size=sizes.width,
        inner_size=sizes.inner,
        num_hidden_layers=sizes.layers,
        dropout=config.encoder.dropout,
        embedding_dropout=sizes.embedding_dropout,
        weight_dropout=sizes.weight_dropout,
    )


def _fingerprint(
    config: PretrainConfig, texts: Mapping[str, Sequence[str]], architecture: str
) -> str:
    digest = hashlib.sha256(config.path.read_bytes() + architecture.encode())
    for part in texts.values():
        for text in part:
            digest.update((text + _BETWEEN).encode())
    return digest.hexdigest()
