"""A pretrained encoder with random weights: two layers, 32 values, some 300 sub-words."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from toy_data import WORDS
from transformers import BertConfig, BertModel, BertTokenizerFast

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = 32
MAX_TOKENS = 32
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_tiny_encoder(path: Path, hidden: int = HIDDEN) -> Path:
    """Write configuration, weights and tokenizer as the hub has them, and return the directory."""
    torch.manual_seed(0)
    vocabulary = _vocabulary()
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=MAX_TOKENS,
    )
    BertModel(config).save_pretrained(path)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=MARKS[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    BertTokenizerFast(tokenizer_object=tokenizer).save_pretrained(path)
    return path


def tiny_vocabulary(encoder: Path) -> dict[str, int]:
    """The sub-words of an encoder directory."""
    content = json.loads((encoder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = content["model"]["vocab"]
    return vocabulary


def _vocabulary() -> dict[str, int]:
    chars = string.ascii_lowercase + string.digits + string.punctuation
    pieces = [*MARKS, *chars, *(f"##{char}" for char in chars), *sorted(WORDS)]
    return {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
