"""New vocabularies of sub-words, trained on raw text.

Byte-level BPE, whose training gives the same vocabulary every time; that of word pieces does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import RobertaProcessing
from transformers import RobertaTokenizerFast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyhead_training.pretrain_config import TokenizerConfig

_MARKS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def train_tokenizer(config: TokenizerConfig, texts: Iterable[str]) -> Any:
    """Train a vocabulary.

    Args:
        config: its size, and whether it tells letter case apart.
        texts: what it is trained on.

    Returns:
        A transformers tokenizer with marks for start, end, padding and masks.
    """
    fresh = Tokenizer(models.BPE())
    if config.lowercase:
        fresh.normalizer = normalizers.Lowercase()
    fresh.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary,
        special_tokens=_MARKS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    fresh.train_from_iterator(texts, trainer)
    fresh.post_processor = RobertaProcessing((_MARKS[2], 2), (_MARKS[0], 0))
    return RobertaTokenizerFast(tokenizer_object=fresh, add_prefix_space=True)
