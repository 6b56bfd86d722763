"""AWD-LSTM: a causal recurrent language model as an encoder, in the manner of ULMFiT.

Merity, Keskar and Socher 2018, "Regularizing and Optimizing LSTM Language Models"; Howard and
Ruder 2018, "Universal Language Model Fine-tuning". Dropped are hidden-to-hidden weights, whole
words of the embedding, and, with one mask for all tokens of a text, what layers pass on.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

AWD_LSTM = "polyhead-awd-lstm"
"""The family's name in config.json."""


class AwdLstmConfig(PretrainedConfig):  # type: ignore[misc] # transformers has no types
    """Sizes and dropout of an AWD-LSTM.

    Args:
        vocab_size: sub-words.
        hidden_size: width of the embedding and of the output, whose matrices a language model
            shares.
        inner_size: width of the layers but the last.
        num_hidden_layers: layers.
        dropout: probability of dropout between layers, for all tokens of a text alike.
        embedding_dropout: probability that a sub-word is dropped everywhere in a batch.
        weight_dropout: probability of dropout of hidden-to-hidden weights.
        options: of every transformers configuration.
    """

    model_type = AWD_LSTM

    def __init__(
        self,
        vocab_size: int = 8000,
        hidden_size: int = 256,
        inner_size: int = 512,
        num_hidden_layers: int = 3,
        dropout: float = 0.2,
        embedding_dropout: float = 0.05,
        weight_dropout: float = 0.3,
        **options: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.inner_size = inner_size
        self.num_hidden_layers = num_hidden_layers
        self.dropout = dropout
        self.embedding_dropout = embedding_dropout
        self.weight_dropout = weight_dropout
        super().__init__(**options)


class WordDropEmbedding(nn.Embedding):
    """An embedding that in training drops whole sub-words, in all places of a batch alike.

    Args:
        words: sub-words.
        width: of a vector.
        dropout: the probability.
    """

    def __init__(self, words: int, width: int, dropout: float) -> None:
        super().__init__(words, width)
        self.dropout = dropout

    def forward(self, ids: Tensor) -> Tensor:  # noqa: D102 - the base class's
        vectors = super().forward(ids)
        if not self.training or not self.dropout:
            return vectors
        kept = functional.dropout(vectors.new_ones(self.num_embeddings), self.dropout)
        return vectors * kept[ids].unsqueeze(-1)


class WeightDropLstm(nn.Module):
    """One LSTM layer whose hidden-to-hidden weights are dropped in training.

    Args:
        width: of the input.
        hidden: of the output.
        dropout: the probability.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.hidden = hidden
        self.dropout = dropout
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden, width))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias_ih = nn.Parameter(torch.zeros(4 * hidden))
        self.bias_hh = nn.Parameter(torch.zeros(4 * hidden), requires_grad=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights as torch's own LSTM does; forget gates begin open."""
        bound = self.hidden**-0.5
        with torch.no_grad():
            nn.init.uniform_(self.weight_ih, -bound, bound)
            nn.init.uniform_(self.weight_hh, -bound, bound)
            nn.init.zeros_(self.bias_ih)
            nn.init.zeros_(self.bias_hh)
            self.bias_ih[self.hidden : 2 * self.hidden] = 1.0

    def forward(self, vectors: Tensor) -> Tensor:
        """[B, T, width] to [B, T, hidden], from left to right."""
        kept = functional.dropout(self.weight_hh, self.dropout, self.training)
        state = vectors.new_zeros(1, vectors.shape[0], self.hidden)
        weights = [self.weight_ih, kept, self.bias_ih, self.bias_hh]
        output: Tensor = torch.lstm(
            vectors,
            (state, state),
            weights,
            has_biases=True,
            num_layers=1,
            dropout=0.0,
            train=self.training,
            bidirectional=False,
            batch_first=True,
        )[0]
        return output


def locked_dropout(vectors: Tensor, dropout: float, *, training: bool) -> Tensor:
    """Dropout with one mask for all tokens of a text; vectors are [B, T, H]."""
    if not training or not dropout:
        return vectors
    mask = functional.dropout(vectors.new_ones(vectors.shape[0], 1, vectors.shape[2]), dropout)
    return vectors * mask


class RecurrentModel(PreTrainedModel):  # type: ignore[misc] # transformers has no types
    """What the recurrent encoders share."""

    base_model_prefix = "encoder"
    embedding: nn.Embedding
    embedding_std = 0.3
    """Spread of new vectors: smaller ones, read and foretold by alike, leave a language model at
    the bare frequencies of words for long (150 steps: perplexity 880, not 565)."""

    def get_input_embeddings(self) -> nn.Module:
        """The sub-words' embedding."""
        return self.embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Take another embedding."""
        self.embedding = value

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, WeightDropLstm):
            module.reset_parameters()
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.embedding_std)


class AwdLstmModel(RecurrentModel):
    """The encoder of an AWD-LSTM language model."""

    config_class = AwdLstmConfig

    def __init__(self, config: AwdLstmConfig) -> None:
        super().__init__(config)
        inner = [config.inner_size] * (config.num_hidden_layers - 1)
        widths = [config.hidden_size, *inner, config.hidden_size]
        self.embedding = WordDropEmbedding(
            config.vocab_size, config.hidden_size, config.embedding_dropout
        )
        self.layers = nn.ModuleList(
            WeightDropLstm(width, hidden, config.weight_dropout)
            for width, hidden in pairwise(widths)
        )
        self.post_init()

    def forward(
        self, inputs_embeds: Tensor, *, output_hidden_states: bool = False, **_: Any
    ) -> BaseModelOutput:
        """Read texts from left to right; tokens behind a text's end change nothing before it.

        Args:
            inputs_embeds: sub-word vectors, [B, T, H].
            output_hidden_states: also give what each layer passed on.
        """
        dropout = self.config.dropout
        vectors = locked_dropout(inputs_embeds, dropout, training=self.training)
        passed = [vectors]
        for layer in self.layers:
            vectors = locked_dropout(layer(vectors), dropout, training=self.training)
            passed.append(vectors)
        states = tuple(passed) if output_hidden_states else None
        return BaseModelOutput(last_hidden_state=vectors, hidden_states=states)
