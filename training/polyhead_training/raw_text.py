"""Raw texts for pre-training: documents from files of several layouts."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

from polyhead_training.data.files import DataFile, read_whole
from polyhead_training.data.rows import read_texts
from polyhead_training.pretrain_config import read_pretrain_config
from polyhead_training.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from polyhead_training.pretrain_config import PretrainConfig, TextsConfig

_COMMENT = re.compile(r"#\s*(newdoc|newpar|text)\b\s*(?:=\s*(.*))?")


def load_texts(config_path: Path, root: Path) -> tuple[PretrainConfig, dict[str, list[str]]]:
    """Read a pre-training config and its texts.

    Args:
        config_path: the config.
        root: directory that its file names are relative to.

    Returns:
        The config, and the documents of each of its sets of texts.

    Raises:
        InputError: all that is wrong with either.
    """
    problems = Problems()
    config = read_pretrain_config(config_path, problems)
    texts = config.texts if config else ()
    seed = config.seed if config else 0
    found = {part.name: _documents(part, root, config_path, problems, seed) for part in texts}
    problems.raise_if_any()
    assert config is not None  # noqa: S101 - a problem was noted otherwise
    return config, found


def _documents(
    texts: TextsConfig, root: Path, config: Path, problems: Problems, seed: int
) -> list[str]:
    found: list[str] = []
    for name in texts.files:
        file = DataFile(root / name, str(root / name), problems)
        before = len(problems)
        documents = read_whole(file, _read(file, texts), (str(config), texts.line))
        if not documents and len(problems) == before:
            file.problem(1, "has no text")
        found += documents
    if not texts.max_documents or len(found) <= texts.max_documents:
        return found
    chosen = random.Random(f"{seed}:{texts.name}").sample(range(len(found)), texts.max_documents)
    return [found[index] for index in sorted(chosen)]


def _read(file: DataFile, texts: TextsConfig) -> Iterator[str]:
    match texts.format:
        case "text":
            numbered = file.lines()
        case "jsonl":
            numbered = read_texts(file, texts.text)
        case "conllu":
            numbered = enumerate(_conllu(file))
        case _:  # which is told already
            return iter(())
    return (text for _, text in numbered if text.strip())


def _conllu(file: DataFile) -> Iterator[str]:
    """Documents or paragraphs, where the file marks them, else sentences."""
    sentences: list[str] = []
    marked = False
    for _, line in file.lines():
        found = _COMMENT.match(line)
        if not found:
            continue
        if found[1] == "text":
            sentences.append(found[2] or "")
        else:
            marked = True
            yield " ".join(sentences)
            sentences = []
        if not marked:
            yield from sentences
            sentences = []
    yield " ".join(sentences)
