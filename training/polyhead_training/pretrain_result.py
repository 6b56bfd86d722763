"""The directory of a pretrained encoder: written in one go, and an older one replaced."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from polyhead_training.bundle_place import beside
from polyhead_training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RECORD = "pretraining.json"
"""File that says how the encoder came to be."""


def check_result_place(out: Path) -> None:
    """Make sure that an encoder may be written to a path: it is free, or holds one of ours.

    Raises:
        TrainingError: something else is there, which would be lost.
    """
    empty = out.is_dir() and not any(out.iterdir())
    if out.exists() and not empty and not (out / RECORD).is_file():
        raise TrainingError(
            f"{out} exists and was not made by pre-training: give a path that is free by --out"
        )


def write_result(out: Path, model: Any, tokenizer: Any, record: Mapping[str, object]) -> None:
    """Write a model, its tokenizer and the record of its making.

    Args:
        out: the directory.
        model: a transformers model.
        tokenizer: a transformers tokenizer.
        record: what is noted, JSON values.
    """
    fresh, old = beside(out, "new"), beside(out, "old")
    for left in (fresh, old):
        shutil.rmtree(left, ignore_errors=True)
    model.save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    (fresh / RECORD).write_text(text, encoding="utf-8")
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    shutil.rmtree(old, ignore_errors=True)
