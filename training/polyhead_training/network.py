"""The network: one pretrained encoder, letter-case shapes, and a head per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from polyhead_server.bundle import HeadSpec
from polyhead_server.shapes import SHAPES
from polyhead_training.pretrained import only_local, position_offset

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from polyhead_training.config import Config, HeadConfig


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded windows, [B] of them with at most [T] tokens each."""

    ids: Tensor
    """Sub-word ids, [B, T]."""
    shapes: Tensor
    """Letter-case shapes, [B, T]."""
    mask: Tensor
    """1 where there is a token, [B, T]."""
    pool: Tensor
    """1 where there is a token that counts for pooling, [B, T]."""
    first: Tensor
    """Flat index (b * T + t) of the first sub-word of every word of the batch, [W]."""


class Encoder(nn.Module):
    """A transformer of any ``AutoModel`` family, and an embedding of letter-case shapes.

    Args:
        transformer: the pretrained model, of any transformers class.
        shapes: whether to add the shape embedding to the sub-word embeddings.
    """

    transformer: Any  # nn.Module, but with the methods of transformers' models

    def __init__(self, transformer: nn.Module, *, shapes: bool) -> None:
        super().__init__()
        self.transformer = transformer
        self.hidden_size: int = self.transformer.config.hidden_size
        self.position_offset = position_offset(self.transformer.config)
        self.shapes = nn.Embedding(SHAPES, self.hidden_size) if shapes else None
        if self.shapes is not None:
            nn.init.normal_(self.shapes.weight, std=0.02)

    def forward(self, ids: Tensor, positions: Tensor, mask: Tensor, shapes: Tensor) -> Tensor:
        """Encode windows.

        Args:
            ids: [B, T].
            positions: [B, T].
            mask: who may be seen, [B, T]; or by whom, [B, T, T].
            shapes: [B, T].

        Returns:
            One vector per token, [B, T, H].
        """
        vectors = self.transformer.get_input_embeddings()(ids)
        if self.shapes is not None:
            vectors = vectors + self.shapes(shapes)
        output = self.transformer(
            inputs_embeds=vectors, position_ids=positions, attention_mask=mask, **self._types(ids)
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _types(self, ids: Tensor) -> dict[str, Tensor]:
        """Segment types where the family has them: its default is no longer than one window."""
        if not getattr(self.transformer.config, "type_vocab_size", 0):
            return {}
        return {"token_type_ids": torch.zeros_like(ids)}


class HeadModule(nn.Module):
    """A task head: an optional tanh layer and the output layer."""

    def __init__(self, config: HeadConfig, width: int, dropout: float) -> None:
        super().__init__()
        self.spec = head_spec(config)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(width, config.hidden) if config.hidden else None
        self.out = nn.Linear(config.hidden or width, self.spec.outputs)
        if self.spec.kind == "spans":
            self.register_buffer("adjacent", torch.zeros(1))

    def forward(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Logits: [B, L] for classification, otherwise [W, O]."""
        if self.spec.kind == "classification":
            rows = self._pooled(hidden, batch)
        else:
            rows = hidden.flatten(0, 1)[batch.first]
        rows = self.dropout(rows)
        if self.hidden is not None:
            rows = self.dropout(torch.tanh(self.hidden(rows)))
        logits: Tensor = self.out(rows)
        return logits

    def _pooled(self, hidden: Tensor, batch: Batch) -> Tensor:
        if self.spec.pooling == "first":
            return hidden[:, 0]
        weights = batch.pool.unsqueeze(-1)
        if self.spec.pooling == "max":
            return hidden.masked_fill(weights == 0, -torch.inf).amax(dim=1)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


class MultiTaskNetwork(nn.Module):
    """One encoder and all heads."""

    def __init__(self, encoder: Encoder, heads: Iterable[HeadConfig], dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(
            {head.name: HeadModule(head, encoder.hidden_size, dropout) for head in heads}
        )

    def forward(self, batch: Batch, head: str) -> Tensor:
        """Logits of one head for a batch."""
        count = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        positions = (count + self.encoder.position_offset).expand_as(batch.ids)
        hidden = self.encoder(batch.ids, positions, batch.mask, batch.shapes)
        logits: Tensor = self.heads[head](hidden, batch)
        return logits


def head_spec(config: HeadConfig) -> HeadSpec:
    """The bundle's description of a head."""
    return HeadSpec(
        name=config.name,
        kind=config.kind,
        labels=config.labels,
        file=f"heads/{config.name}.safetensors",
        pooling=config.pooling,
    )


def build_network(config: Config, encoder: str) -> MultiTaskNetwork:
    """Build the network on pretrained weights, with new layers drawn by the configured seed.

    Args:
        config: the training configuration.
        encoder: hub id or path of the pretrained encoder.

    Raises:
        OSError: the weights are not to be had under that name.
    """
    torch.manual_seed(config.seed)
    options = _options(config)
    transformer = AutoModel.from_pretrained(
        encoder, local_files_only=only_local(encoder), **options
    )
    return _network(config, transformer)


def blank_network(config: Config, encoder: Path) -> MultiTaskNetwork:
    """Build a network of the same make without pretrained weights.

    Args:
        config: the training configuration.
        encoder: directory with the encoder's configuration.

    Raises:
        OSError: the directory holds none.
    """
    settings = AutoConfig.from_pretrained(encoder)
    for name, value in _options(config).items():
        setattr(settings, name, value)
    attention = _options(config)["attn_implementation"]
    return _network(config, AutoModel.from_config(settings, attn_implementation=attention))


def _network(config: Config, transformer: nn.Module) -> MultiTaskNetwork:
    body = Encoder(transformer, shapes=config.encoder.shape_embedding)
    return MultiTaskNetwork(body, config.heads, config.encoder.dropout)


def _options(config: Config) -> dict[str, Any]:
    return {
        "attn_implementation": "eager",
        "hidden_dropout_prob": config.encoder.dropout,
        "attention_probs_dropout_prob": 0.0,  # costs a sixth of a step on CPU
    }
