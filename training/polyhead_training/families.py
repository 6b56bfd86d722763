"""What families of encoders do each in their own way: one place where the network asks.

A family that is not named here is taken for one like BERT: its tokens see both sides, and it is
told their positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from polyhead_training.errors import TrainingError
from polyhead_training.recurrent import AWD_LSTM, ELMO

if TYPE_CHECKING:
    from polyhead_server.bundle import WordPiece
    from polyhead_training.config import Config

_MATRIX = 3  # dimensions of a mask that says who sees whom


@dataclass(frozen=True, slots=True)
class Family:
    """How to build and run the encoders of a family."""

    causal: bool = False
    """Tokens see those before them only."""
    packable: bool = True
    """Windows can lie behind each other in one row, held apart by a mask; needed to be served."""
    even: bool = True
    """All layers give vectors of one width: they can be mixed, taken out and added."""
    fixed: bool = False
    """It has a share of its own for each layer, so that none can be taken out or added."""
    attention: str = "eager"
    """Implementation of attention that takes any mask and any length."""

    @property
    def word_piece(self) -> WordPiece:
        """The sub-word that stands for a word: the one that has seen all of it."""
        return "last" if self.causal else "first"


_FAMILIES = {
    # GPT-2's eager attention adds a causal mask of its own that ends at its longest text.
    "gpt2": Family(causal=True, attention="sdpa"),
    # DistilBERT's eager attention takes no mask of who sees whom.
    "distilbert": Family(attention="sdpa"),
    AWD_LSTM: Family(causal=True, packable=False, even=False),
    ELMO: Family(packable=False, fixed=True),
}


def family_of(settings: Any) -> Family:
    """The family of an encoder.

    Args:
        settings: its configuration, of any transformers class.

    Raises:
        TrainingError: a decoder of a family that is not known here: whether its tokens see only
            those before them, and how it is told, has to be known.
    """
    name = settings.model_type
    decoder = name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    if name not in _FAMILIES and decoder and name not in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        raise TrainingError(
            f'the family "{name}" is not supported: of decoders only GPT-2 can be an encoder'
        )
    return _FAMILIES.get(name, Family())


def check_options(config: Config, family: Family) -> None:
    """Make sure that an encoder of a family can do what a configuration wants.

    Raises:
        TrainingError: it cannot.
    """
    options = config.encoder
    if not family.even and (options.mix or options.layers or options.add_layers):
        raise TrainingError(
            "mix, layers and add_layers are for encoders whose layers are all of one width"
        )
    if family.fixed and (options.layers or options.add_layers):
        raise TrainingError(
            "layers and add_layers are not for an ELMo, which mixes all of its layers by itself"
        )
    for head in config.heads:
        if family.causal and head.pooling == "first":
            raise TrainingError(
                f'head "{head.name}": pooling "first" takes the vector of a token that, in a '
                'causal encoder, has seen no other: take "last", "mean" or "max"'
            )


def run_encoder(
    transformer: Any,
    vectors: torch.Tensor,
    positions: torch.Tensor,
    mask: torch.Tensor,
    **options: Any,
) -> Any:
    """Run an encoder of any family on sub-word vectors.

    Args:
        transformer: the transformers model.
        vectors: [B, T, E].
        positions: [B, T].
        mask: who may be seen, [B, T]; or by whom, [B, T, T]; 1 for yes. Order is the family's.
        options: passed on, such as ``output_hidden_states``.

    Returns:
        The model's output, with ``last_hidden_state`` [B, T, H].
    """
    settings = transformer.config
    if settings.model_type == "gpt2":
        return transformer(
            inputs_embeds=vectors,
            position_ids=positions,
            attention_mask=_causal(mask),
            use_cache=False,
            **options,
        )
    if settings.model_type == "distilbert":
        return _run_distilbert(transformer, vectors, positions, mask, **options)
    if getattr(settings, "type_vocab_size", 0):  # the default is no longer than one window
        options["token_type_ids"] = torch.zeros_like(positions)
    return transformer(
        inputs_embeds=vectors, position_ids=positions, attention_mask=mask, **options
    )


def _run_distilbert(
    transformer: Any,
    vectors: torch.Tensor,
    positions: torch.Tensor,
    mask: torch.Tensor,
    **options: Any,
) -> Any:
    """Run DistilBERT's parts: its whole counts positions by itself."""
    parts = transformer.embeddings
    vectors = parts.dropout(parts.LayerNorm(vectors + parts.position_embeddings(positions)))
    return transformer.transformer(
        x=vectors,
        attn_mask=_by_whom(mask).unsqueeze(1),
        head_mask=[None] * transformer.config.num_hidden_layers,
        return_dict=True,
        **options,
    )


def _causal(mask: torch.Tensor) -> torch.Tensor:
    """Who sees whom, and nobody what comes later: [B, 1, T, T]."""
    count = torch.arange(mask.shape[-1], device=mask.device)
    before = count.unsqueeze(1) >= count.unsqueeze(0)
    return (_by_whom(mask) & before).unsqueeze(1)


def _by_whom(mask: torch.Tensor) -> torch.Tensor:
    """Who sees whom, [B, T, T], as truth values."""
    seen = mask > 0
    if seen.ndim == _MATRIX:
        return seen
    return seen.unsqueeze(1).expand(-1, seen.shape[1], -1)
