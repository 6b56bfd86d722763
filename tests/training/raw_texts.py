"""Raw texts of all layouts, and pre-training configs for them."""

from __future__ import annotations

import gzip
import json
import random
from typing import TYPE_CHECKING

from toy_data import WORDS

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = """
[[texts]]
name = "lines"
format = "text"
files = "raw/lines.txt"
passes = 2.0
licence = "CC0 1.0"

[[texts]]
name = "rows"
format = "jsonl"
files = ["raw/rows.jsonl.gz"]
text = "body"
"""


def write_raw_texts(root: Path) -> Path:
    """Write the files below a directory and return it."""
    rng = random.Random(0)
    words = sorted(WORDS)
    documents = [
        "the " + " ".join(rng.choice(words) for _ in range(rng.randint(3, 60))) for _ in range(60)
    ]
    folder = root / "raw"
    folder.mkdir(parents=True)
    (folder / "lines.txt").write_text("\n".join([*documents[:40], "", " "]), encoding="utf-8")
    rows = "".join(json.dumps({"body": text}) + "\n" for text in documents[40:])
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(rows.encode()))
    return root


def pretrain_config(
    encoder: str = "", more: str = "", texts: str = TEXTS, **training: object
) -> str:
    """The text of a config; ``training`` adds to or replaces its training options."""
    options = {
        "batch_tokens": 256,
        "learning_rate": 5e-3,
        "head_learning_rate": 5e-3,
        "validations": 2,
        "checkpoint_seconds": 0,
        "threads": 1,
        "precision": "fp32",
        **training,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    return "\n".join(
        [
            'name = "toy"\nseed = 3\nhold_out = 10',
            f"[encoder]\nmax_tokens = 24\ndropout = 0.1\n{encoder}",
            "[training]",
            *lines,
            more,
            texts,
        ]
    )
