"""A bidirectional recurrent language model as an encoder, in the manner of ELMo.

Peters et al. 2018, "Deep contextualized word representations": one language model reads forwards
and one backwards, neither sees the other, and a text's vectors are a learned mix of all layers of
both. Words are cut into sub-words here, where the original reads characters.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers.modeling_outputs import BaseModelOutput

from polyhead_training.awd_lstm import RecurrentModel, WeightDropLstm, locked_dropout

ELMO = "polyhead-elmo"
"""The family's name in config.json."""


class ElmoConfig(PretrainedConfig):  # type: ignore[misc] # transformers has no types
    """Sizes and dropout of a bidirectional language model.

    Args:
        vocab_size: sub-words.
        embedding_size: width of the embedding and of each direction; the output has twice that.
        num_hidden_layers: layers of each direction.
        dropout: probability of dropout between layers, for all tokens of a text alike.
        weight_dropout: probability of dropout of hidden-to-hidden weights.
        options: of every transformers configuration.
    """

    model_type = ELMO

    def __init__(
        self,
        vocab_size: int = 8000,
        embedding_size: int = 256,
        num_hidden_layers: int = 2,
        dropout: float = 0.1,
        weight_dropout: float = 0.0,
        **options: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.embedding_size = embedding_size
        self.hidden_size = 2 * embedding_size
        self.num_hidden_layers = num_hidden_layers
        self.dropout = dropout
        self.weight_dropout = weight_dropout
        options.pop("hidden_size", None)
        super().__init__(**options)


class _BothWays(nn.Module):
    """One layer of each direction."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.ahead = WeightDropLstm(width, width, dropout)
        self.back = WeightDropLstm(width, width, dropout)

    def forward(self, ahead: Tensor, back: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        return self.ahead(ahead), _take(self.back(_take(back, turn)), turn)


class ElmoModel(RecurrentModel):
    """Two language models of opposite direction, and a mix of their layers."""

    config_class = ElmoConfig
    embedding_std = 0.05
    """Small, since layers add to the vectors of the words: large ones foretell themselves."""

    def __init__(self, config: ElmoConfig) -> None:
        super().__init__(config)
        width = config.embedding_size
        self.embedding = nn.Embedding(config.vocab_size, width)
        self.layers = nn.ModuleList(
            _BothWays(width, config.weight_dropout) for _ in range(config.num_hidden_layers)
        )
        self.mix = nn.Parameter(torch.zeros(config.num_hidden_layers + 1))
        self.scale = nn.Parameter(torch.ones(1))
        self.post_init()

    def forward(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> BaseModelOutput:
        """Read texts in both directions.

        Args:
            inputs_embeds: sub-word vectors, [B, T, E].
            attention_mask: 1 where there is a token, [B, T]; texts start at the left.
            output_hidden_states: also give what each layer passed on, the forward model's vectors
                before the backward model's, [B, T, 2 E].
        """
        turn = _turned(inputs_embeds, attention_mask)
        forwards = locked_dropout(inputs_embeds, self.config.dropout, training=self.training)
        backwards = forwards
        passed = [torch.cat([forwards, backwards], dim=-1)]
        for layer in self.layers:
            ahead, back = layer(forwards, backwards, turn)
            forwards = self._passed_on(forwards, ahead)
            backwards = self._passed_on(backwards, back)
            passed.append(torch.cat([forwards, backwards], dim=-1))
        weights = self.mix.softmax(dim=0)
        mixed = sum(weight * layer for weight, layer in zip(weights, passed, strict=True))
        states = tuple(passed) if output_hidden_states else None
        return BaseModelOutput(last_hidden_state=self.scale * mixed, hidden_states=states)

    def _passed_on(self, given: Tensor, made: Tensor) -> Tensor:
        """A layer's result, added to what it was given."""
        return given + locked_dropout(made, self.config.dropout, training=self.training)


def _turned(vectors: Tensor, mask: Tensor | None) -> Tensor:
    """Places of the tokens of each text from its last to its first, [B, T]; padding stays."""
    batch, size = vectors.shape[:2]
    count = torch.arange(size, device=vectors.device).expand(batch, size)
    if mask is None:
        return count.flip(1)
    lengths = mask.sum(dim=1, keepdim=True).long()
    return torch.where(count < lengths, lengths - 1 - count, count)


def _take(vectors: Tensor, places: Tensor) -> Tensor:
    return vectors.gather(1, places.unsqueeze(-1).expand_as(vectors))
