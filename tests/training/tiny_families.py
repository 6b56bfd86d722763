"""Encoders of several families with random weights, and tokenizers trained on a little text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import BertProcessing, RobertaProcessing
from toy_data import WORDS
from transformers import (
    AutoModel,
    BertConfig,
    BertTokenizerFast,
    DistilBertConfig,
    DistilBertTokenizerFast,
    GPT2Config,
    GPT2TokenizerFast,
    MPNetConfig,
    MPNetTokenizerFast,
    RobertaConfig,
    RobertaTokenizerFast,
)

if TYPE_CHECKING:
    from pathlib import Path

MAX_TOKENS = 40
FAMILIES = ("bert", "distilbert", "mpnet", "roberta", "gpt2")

_TEXTS = [
    " ".join(sorted(WORDS)),
    "The words, with Capitals and marks: said 'twas so!",
    "Zoë 😀",
] * 3
_SIZES: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32}


def write_family(path: Path, family: str) -> Path:
    """Write configuration, weights and tokenizer as the hub has them, and return the directory."""
    torch.manual_seed(0)
    tokenizer = _TOKENIZERS[family]()
    tokenizer.save_pretrained(path)
    config = _CONFIGS[family](len(tokenizer))
    transformer = AutoModel.from_config(config)
    with torch.no_grad():  # as they come, positions and biases are too small to be told apart
        for value in transformer.parameters():
            value.normal_(mean=float(value.ndim == 1), std=0.3)
    transformer.save_pretrained(path)
    return path


def _word_pieces(kind: type, marks: tuple[str, ...]) -> Any:
    fresh = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
    fresh.normalizer = normalizers.BertNormalizer(lowercase=True)
    fresh.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=list(marks), show_progress=False
    )
    fresh.train_from_iterator(_TEXTS, trainer)
    first, last = (name for name in marks if name in {"[CLS]", "[SEP]", "<s>", "</s>"})
    vocabulary = fresh.get_vocab()
    fresh.post_processor = BertProcessing((last, vocabulary[last]), (first, vocabulary[first]))
    return kind(tokenizer_object=fresh, vocab=vocabulary)


def _bytes(kind: type, marks: tuple[str, ...]) -> Any:
    fresh = Tokenizer(models.BPE())
    fresh.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        special_tokens=list(marks),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    fresh.train_from_iterator(_TEXTS, trainer)
    return kind(tokenizer_object=fresh)


def _marked(made: Any) -> Any:
    made.backend_tokenizer.post_processor = RobertaProcessing(("</s>", 2), ("<s>", 0))
    return made


_BERT_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_MPNET_MARKS = ("<s>", "<pad>", "</s>", "[UNK]", "<mask>")
_ROBERTA_MARKS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")

_TOKENIZERS = {
    "bert": lambda: _word_pieces(BertTokenizerFast, _BERT_MARKS),
    "distilbert": lambda: _word_pieces(DistilBertTokenizerFast, _BERT_MARKS),
    "mpnet": lambda: _word_pieces(MPNetTokenizerFast, _MPNET_MARKS),
    "roberta": lambda: _marked(_bytes(RobertaTokenizerFast, _ROBERTA_MARKS)),
    "gpt2": lambda: _bytes(GPT2TokenizerFast, ("<|endoftext|>",)),
}

_CONFIGS = {
    "bert": lambda words: BertConfig(
        vocab_size=words, intermediate_size=64, max_position_embeddings=MAX_TOKENS, **_SIZES
    ),
    "distilbert": lambda words: DistilBertConfig(
        vocab_size=words,
        dim=32,
        hidden_dim=64,
        n_layers=2,
        n_heads=2,
        max_position_embeddings=MAX_TOKENS,
    ),
    "mpnet": lambda words: MPNetConfig(
        vocab_size=words,
        intermediate_size=64,
        max_position_embeddings=MAX_TOKENS + 2,
        pad_token_id=1,
        **_SIZES,
    ),
    "roberta": lambda words: RobertaConfig(
        vocab_size=words,
        intermediate_size=64,
        max_position_embeddings=MAX_TOKENS + 2,
        type_vocab_size=1,
        pad_token_id=1,
        **_SIZES,
    ),
    "gpt2": lambda words: GPT2Config(
        vocab_size=words, n_embd=32, n_layer=2, n_head=2, n_positions=MAX_TOKENS
    ),
}
