"""The network: one pretrained encoder, letter-case shapes, and a head per task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from polyhead_server.bundle import HeadSpec
from polyhead_server.shapes import SHAPES
from polyhead_training.errors import TrainingError
from polyhead_training.families import check_options, family_of, run_encoder
from polyhead_training.layers import add_layers, chosen_layers, keep_layers, layer_list
from polyhead_training.pretrained import only_local, position_offset
from polyhead_training.scalar_mix import ScalarMix
from polyhead_training.unfreezing import prepare_encoder, still_frozen

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from polyhead_training.config import Config, EncoderConfig, HeadConfig


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
    """Flat index (b * T + t) of the sub-word that stands for each word of the batch, [W]."""


class Encoder(nn.Module):
    """A transformer of any ``AutoModel`` family, and an embedding of letter-case shapes.

    Args:
        transformer: the pretrained model, of any transformers class.
        shapes: whether to add the shape embedding to the sub-word embeddings.
        mix: whether to mix all layers, in place of taking the top one.
        added: how many of the layers, the top ones, are not pretrained.
    """

    transformer: Any  # nn.Module, but with the methods of transformers' models
    frozen = False
    """Whether the pretrained part learns nothing, and so is run without dropout."""
    kept: tuple[int, ...] = ()
    """Which of the pretrained layers these are; empty for all, or where it is not known."""

    def __init__(
        self, transformer: nn.Module, *, shapes: bool, mix: bool = False, added: int = 0
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.hidden_size: int = self.transformer.config.hidden_size
        self.position_offset = position_offset(self.transformer.config)
        self.packable = family_of(self.transformer.config).packable
        """Whether windows can lie behind each other in one row, as they are served."""
        width: int = self.transformer.get_input_embeddings().embedding_dim
        self.shapes = nn.Embedding(SHAPES, width) if shapes else None
        if self.shapes is not None:
            nn.init.normal_(self.shapes.weight, std=0.02)
        self.mix = ScalarMix(self.transformer.config.num_hidden_layers + 1) if mix else None
        self.added = added

    def train(self, mode: bool = True) -> Self:  # noqa: FBT001, FBT002 - as torch has it
        """Switch between training and evaluation; what is frozen stays in evaluation."""
        super().train(mode)
        if mode and self.frozen:
            still_frozen(self)
        return self

    @property
    def most_tokens(self) -> int | None:
        """Tokens of the longest window that the encoder has positions for; None for any."""
        most = getattr(self.transformer.config, "max_position_embeddings", None)
        return most - self.position_offset if most else None

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
        output = run_encoder(
            self.transformer,
            vectors,
            positions,
            mask,
            output_hidden_states=self.mix is not None,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden if self.mix is None else self.mix(output.hidden_states)


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
        if self.spec.pooling == "last":
            count = torch.arange(hidden.shape[1], device=hidden.device)
            rows = torch.arange(len(hidden), device=hidden.device)
            return hidden[rows, (batch.pool * count).argmax(dim=1)]
        weights = batch.pool.unsqueeze(-1)
        if self.spec.pooling == "max":
            return hidden.masked_fill(weights == 0, -torch.inf).amax(dim=1)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


class Heads(nn.ModuleDict):
    """Heads by name, which may be that of a module's own method or attribute ("type", "values")."""

    def __setitem__(self, key: str, module: nn.Module) -> None:
        self._modules[key] = module  # add_module refuses such names

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # torch would take "training" for the head


class MultiTaskNetwork(nn.Module):
    """One encoder and all heads."""

    def __init__(self, encoder: Encoder, heads: Iterable[HeadConfig], dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = Heads(
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
        TrainingError: the encoder's family cannot do what the configuration wants.
    """
    torch.manual_seed(config.seed)
    local = only_local(encoder)
    settings = AutoConfig.from_pretrained(encoder, local_files_only=local)
    set_dropout(settings, config.encoder)
    check_options(config, family_of(settings))
    attention = family_of(settings).attention
    if config.encoder.init == "random":
        transformer = AutoModel.from_config(settings, attn_implementation=attention)
    else:
        transformer = AutoModel.from_pretrained(
            encoder, config=settings, local_files_only=local, attn_implementation=attention
        )
    kept = _choose_layers(transformer, config.encoder)
    network = _network(config, transformer)
    network.encoder.kept = kept
    _try(network.encoder)
    return network


@torch.no_grad()
def _try(encoder: Encoder) -> None:
    """Run an encoder once.

    Raises:
        TrainingError: its layers have other widths than each other, and cannot be chosen or mixed.
    """
    ids = torch.zeros(1, 2, dtype=torch.long)
    try:
        encoder.eval()(ids, ids + encoder.position_offset, ids + 1, ids)
    except RuntimeError as error:
        kind = type(encoder.transformer).__name__
        raise TrainingError(f"the layers of {kind} cannot be chosen or mixed so") from error


def _choose_layers(transformer: Any, config: EncoderConfig) -> tuple[int, ...]:
    """Take out and add layers as configured; returns the numbers of the kept ones if not all."""
    kept: tuple[int, ...] = ()
    if config.layers:
        kept = chosen_layers(config.layers, len(layer_list(transformer)))
        keep_layers(transformer, kept)
    if config.add_layers:
        add_layers(transformer, config.add_layers)
    return kept


def blank_network(config: Config, encoder: Path) -> MultiTaskNetwork:
    """Build a network of the same make without pretrained weights.

    Args:
        config: the training configuration.
        encoder: directory with the encoder's configuration.

    Raises:
        OSError: the directory holds none.
    """
    settings = AutoConfig.from_pretrained(encoder)
    set_dropout(settings, config.encoder)
    attention = family_of(settings).attention
    return _network(config, AutoModel.from_config(settings, attn_implementation=attention))


def _network(config: Config, transformer: nn.Module) -> MultiTaskNetwork:
    options = config.encoder
    body = Encoder(
        transformer, shapes=options.shape_embedding, mix=options.mix, added=options.add_layers
    )
    prepare_encoder(body, options)
    return MultiTaskNetwork(body, config.heads, options.dropout)


_DROPOUTS = ("hidden_dropout_prob", "resid_pdrop", "embd_pdrop", "dropout")
_ATTENTION_DROPOUTS = ("attention_probs_dropout_prob", "attn_pdrop", "attention_dropout")
"""Names that families have for them: BERT and its kin, GPT-2, DistilBERT."""


def set_dropout(settings: Any, config: EncoderConfig) -> None:
    """Set the dropout probabilities of an encoder's configuration, whatever they are called."""
    for names, value in (
        (_DROPOUTS, config.dropout),
        (_ATTENTION_DROPOUTS, config.attention_dropout),
    ):
        for name in names:
            if hasattr(settings, name):
                setattr(settings, name, value)
