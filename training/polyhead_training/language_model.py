"""Language models over encoders of any family, and what each objective foretells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM
from transformers.utils import logging

from polyhead_training.batches import NO_TARGET
from polyhead_training.errors import TrainingError
from polyhead_training.families import family_of, run_encoder
from polyhead_training.network import Encoder, set_dropout
from polyhead_training.pretrained import only_local
from polyhead_training.recurrent import AWD_LSTM, ELMO

if TYPE_CHECKING:
    from polyhead_training.config_types import EncoderConfig
    from polyhead_training.pretrain_config import Objective

_HEADS = ("cls", "lm_head", "predictions")
"""Names that families have for the head of their masked language models."""


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Padded passages, [B] of them with at most [T] tokens each."""

    ids: Tensor
    """Sub-words as the encoder sees them, [B, T]."""
    mask: Tensor
    """1 where there is a token, [B, T]."""
    targets: Tensor
    """What was masked, [B, T]; NO_TARGET elsewhere."""


class TiedHead(nn.Module):
    """Scores of all sub-words by the vectors that they have in the embedding.

    Args:
        embedding: shared with the encoder.
    """

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.weight = embedding.weight
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))

    def forward(self, rows: Tensor) -> Tensor:
        """[R, H] to [R, V]."""
        return functional.linear(rows, self.weight, self.bias)


class DistilBertHead(nn.Module):
    """The head of DistilBERT's masked language model, which has none in one piece."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.transform, self.norm = whole.vocab_transform, whole.vocab_layer_norm
        self.activation, self.out = whole.activation, whole.vocab_projector

    def forward(self, rows: Tensor) -> Tensor:
        """[R, H] to [R, V]."""
        scores: Tensor = self.out(self.norm(self.activation(self.transform(rows))))
        return scores


class LanguageModel(nn.Module):
    """An encoder that foretells sub-words.

    Args:
        whole: the transformers model that is saved in the end; holds the encoder.
        head: scores of all sub-words, [R, H] to [R, V].
        objective: what is foretold.
    """

    def __init__(self, whole: Any, head: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.encoder = Encoder(whole.base_model, shapes=False)
        self.head = head
        self.objective = objective
        self._whole = [whole]  # in a list, since its tensors are the encoder's and the head's

    @property
    def whole(self) -> Any:
        """The transformers model."""
        return self._whole[0]

    def forward(self, batch: TextBatch) -> tuple[Tensor, Tensor]:
        """Scores [R, V] for sub-words that are foretold, and these, [R]."""
        transformer = self.encoder.transformer
        vectors = transformer.get_input_embeddings()(batch.ids)
        count = torch.arange(batch.ids.shape[1], device=batch.ids.device)
        positions = (count + self.encoder.position_offset).expand_as(batch.ids)
        both = self.objective == "bidirectional"
        output = run_encoder(transformer, vectors, positions, batch.mask, output_hidden_states=both)
        if self.objective == "mlm":
            known = batch.targets != NO_TARGET
            return self.head(output.last_hidden_state[known]), batch.targets[known]
        known = batch.mask[:, 1:].bool()
        if not both:
            return self.head(output.last_hidden_state[:, :-1][known]), batch.ids[:, 1:][known]
        ahead, back = output.hidden_states[-1].chunk(2, dim=-1)
        rows = torch.cat([ahead[:, :-1][known], back[:, 1:][known]])
        return self.head(rows), torch.cat([batch.ids[:, 1:][known], batch.ids[:, :-1][known]])


def open_language_model(
    encoder: str, options: EncoderConfig, objective: Objective
) -> LanguageModel:
    """Build a language model on an encoder.

    A masked language model takes the head that was pretrained with the encoder, where there is
    one; a new head scores by the embedding's own vectors.

    Args:
        encoder: hub id or directory.
        options: whether to take its weights, and dropout.
        objective: what is to be foretold; "auto" for what the family is made for.

    Raises:
        OSError: there is no encoder under that name.
        TrainingError: the family cannot do this.
    """
    settings = AutoConfig.from_pretrained(encoder, local_files_only=only_local(encoder))
    set_dropout(settings, options)
    objective = _objective(settings, objective)
    if settings.model_type in {AWD_LSTM, ELMO}:
        whole = _open(AutoModel, encoder, settings, options)
        return LanguageModel(whole, TiedHead(whole.get_input_embeddings()), objective)
    if objective == "causal":
        whole = _open(AutoModelForCausalLM, encoder, settings, options)
        return LanguageModel(whole, whole.lm_head, objective)
    whole = _open(AutoModelForMaskedLM, encoder, settings, options)
    return LanguageModel(whole, _masked_head(whole), objective)


def _objective(settings: Any, wanted: Objective) -> Objective:
    own: Objective = "causal" if family_of(settings).causal else "mlm"
    if settings.model_type == ELMO:
        own = "bidirectional"
    if wanted not in {"auto", own}:
        raise TrainingError(
            f'objective "{wanted}" is not for encoders of the family {settings.model_type}, '
            f'which learn by "{own}"'
        )
    return own


def _open(kind: Any, encoder: str, settings: Any, options: EncoderConfig) -> Any:
    attention = family_of(settings).attention
    if options.init == "random":
        return kind.from_config(settings, attn_implementation=attention)
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # that a head is new is no news
    try:
        return kind.from_pretrained(
            encoder,
            config=settings,
            local_files_only=only_local(encoder),
            attn_implementation=attention,
        )
    finally:
        logging.set_verbosity(level)


def _masked_head(whole: Any) -> nn.Module:
    if whole.config.model_type == "distilbert":
        return DistilBertHead(whole)
    for name in _HEADS:
        head = getattr(whole, name, None)
        if isinstance(head, nn.Module):
            return head
    raise TrainingError(f"masked words cannot be learned with {type(whole).__name__}")
