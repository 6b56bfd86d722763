"""From the network's encoder and one head to a standard transformers model that gives the same.

What a standard class cannot hold is told by `obstacles`. The classes for texts put a linear layer
and tanh on the first token's vector (BERT, RoBERTa and their kin), or a linear layer on the last
token's (GPT-2); the classes for tokens put a linear layer on every token's vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
)

from polyhead_server.shapes import SHAPE_LOWER
from polyhead_training.adapters import merge_adapters
from polyhead_training.batches import Sample, collate, output_ids
from polyhead_training.errors import ExportError, TrainingError
from polyhead_training.families import family_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from polyhead_server.encoding import Window
    from polyhead_training.network import HeadModule, MultiTaskNetwork
    from polyhead_training.workshop import Workshop

_NEAR = 2e-3
"""Logits of both models may differ by so much of the largest one: the models differ in rounding."""

_FLAT = 1e-3
"""Where tanh is to change nothing, its input is scaled down to this and its output up again."""


@dataclass(frozen=True, slots=True)
class TextLayout:
    """Where the standard class for texts of a family has its layers."""

    hidden: str
    """The layer before tanh; empty for none."""
    out: str
    pooling: str = "first"


_BERT = TextLayout("bert.pooler.dense", "classifier")
_ROBERTA = TextLayout("classifier.dense", "classifier.out_proj")
_LAYOUTS = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "mpnet": _ROBERTA,
    "gpt2": TextLayout("", "score", pooling="last"),
}


def obstacles(network: MultiTaskNetwork, head: str) -> list[str]:
    """What of the network a standard class has no place for; empty where it holds all.

    Args:
        network: the network.
        head: name of the head to leave with.
    """
    found = []
    encoder, module = network.encoder, head_module(network, head)
    if encoder.shapes is not None and bool(encoder.shapes.weight.any()):
        found.append("shape_embedding: letter-case shapes are added to the sub-words' vectors")
    if encoder.mix is not None:
        found.append("mix: the heads get a mix of all layers")
    if module.spec.kind == "classification":
        return found + _text_obstacles(encoder.transformer.config, module)
    if module.hidden is not None:
        found.append("hidden: there is no place for a layer before a tagging head's output")
    return found


def _text_obstacles(settings: Any, module: HeadModule) -> list[str]:
    layout = _LAYOUTS.get(settings.model_type)
    if layout is None:
        return [f'the family "{settings.model_type}": its head for texts is of another make']
    found = []
    if module.spec.pooling != layout.pooling:
        found.append(f'pooling: it is "{module.spec.pooling}", not "{layout.pooling}"')
    if module.hidden is not None and not layout.hidden:
        found.append("hidden: there is no place for a layer before the output")
    elif module.hidden is not None and module.hidden.out_features > settings.hidden_size:
        found.append(f"hidden: it is wider than the encoder's {settings.hidden_size}")
    return found


def head_module(network: MultiTaskNetwork, head: str) -> HeadModule:
    """A head of the network.

    Raises:
        TrainingError: there is none of that name.
    """
    if head not in network.heads:
        known = ", ".join(sorted(network.heads))
        raise TrainingError(f'there is no head "{head}"; the run has {known}')
    module: HeadModule = network.heads[head]  # type: ignore[assignment] # torch types all as Module
    return module


def standard_model(shop: Workshop, head: str) -> Any:
    """A model of the standard class with all weights of the network that it has a place for.

    Args:
        shop: a trained network.
        head: name of the head.

    Raises:
        TrainingError: the network has no such head, or transformers no class for the encoder.
    """
    network, module = shop.network, head_module(shop.network, head)
    texts = module.spec.kind == "classification"
    settings = _settings(shop, module)
    known = (
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
        if texts
        else MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES
    )
    if settings.model_type not in known:
        raise TrainingError(
            f"transformers has no class for such a head on encoders of the family "
            f'"{settings.model_type}"'
        )
    make = AutoModelForSequenceClassification if texts else AutoModelForTokenClassification
    torch.manual_seed(shop.config.seed)  # of layers that the network has no weights for
    model = make.from_config(settings)
    encoder = merge_adapters(network.encoder.transformer).state_dict()
    own = model.base_model.state_dict()
    model.base_model.load_state_dict({k: v for k, v in encoder.items() if k in own}, strict=False)
    _fold_shapes(network, model)
    with torch.no_grad():
        if texts:
            _place_text_head(module, model, _LAYOUTS.get(settings.model_type))
        elif module.hidden is None and hasattr(model, "classifier"):
            _copy(module.out, model.classifier)
    return model.eval()


def _settings(shop: Workshop, module: HeadModule) -> Any:
    """The encoder's configuration with the head's labels."""
    ids = output_ids(module.spec)
    settings = type(shop.network.encoder.transformer.config).from_dict(
        shop.network.encoder.transformer.config.to_dict()
    )
    settings.id2label = {index: label for label, index in ids.items()}
    settings.label2id = dict(ids)
    settings.problem_type = "single_label_classification"
    if settings.pad_token_id is None:  # GPT-2 finds a text's end by it
        settings.pad_token_id = shop.assets.tokenizer.eos_token_id
    return settings


def _fold_shapes(network: MultiTaskNetwork, model: Any) -> None:
    """Let every sub-word be one of a word in lower case, as most are."""
    if network.encoder.shapes is None:
        return
    with torch.no_grad():
        weight = model.get_input_embeddings().weight
        weight.add_(network.encoder.shapes.weight[SHAPE_LOWER].to(weight.device))


def _place_text_head(module: HeadModule, model: Any, layout: TextLayout | None) -> None:
    if layout is None:
        return
    out = model.get_submodule(layout.out)
    if layout.hidden:
        _place_hidden(module, model.get_submodule(layout.hidden), out)
    elif module.hidden is None:
        out.weight.copy_(module.out.weight)
        _shift_norm(model.base_model.ln_f, module.out)


def _place_hidden(module: HeadModule, dense: nn.Linear, out: nn.Linear) -> None:
    """Fill the layer before tanh; where the head has none, one that changes nothing."""
    if module.hidden is not None and module.hidden.out_features > dense.out_features:
        return
    for layer in (dense, out):
        layer.weight.zero_()
        layer.bias.zero_()
    out.bias.copy_(module.out.bias)
    if module.hidden is None:
        dense.weight.copy_(torch.eye(dense.out_features) * _FLAT)
        out.weight.copy_(module.out.weight / _FLAT)
        return
    width = module.hidden.out_features  # what is left of the layer stays 0
    dense.weight[:width].copy_(module.hidden.weight)
    dense.bias[:width].copy_(module.hidden.bias)
    out.weight[:, :width].copy_(module.out.weight)


def _shift_norm(norm: nn.LayerNorm, out: nn.Linear) -> None:
    """Let the last layer norm do what the output's bias does: the standard output has none."""
    shift = torch.linalg.pinv(out.weight.double()).matmul(out.bias.double()).float()
    norm.bias.add_(shift.to(norm.bias.device))


def _copy(ours: nn.Linear, theirs: nn.Linear) -> None:
    theirs.weight.copy_(ours.weight)
    theirs.bias.copy_(ours.bias)


@torch.inference_mode()
def prove(shop: Workshop, head: str, model: Any, windows: list[Window]) -> float:
    """Compare a model with the network on windows.

    Returns:
        The largest difference of two logits, over the largest logit.

    Raises:
        ExportError: they give different logits.
    """
    network = merge_adapters(shop.network).eval()
    worst = 0.0
    for window in windows:
        batch, _ = collate([Sample(window, ())], shop.hardware.device)
        ours = network(batch, head)
        theirs = _logits(model, batch.ids, batch.first)
        scale = max(1.0, float(ours.abs().max()))
        worst = max(worst, float((ours - theirs).abs().max()) / scale)
    if worst > _NEAR:
        raise ExportError(
            f'the standard model does not give what head "{head}" gives (logits differ by '
            f"{worst:.2g}): convert it with --fit"
        )
    return worst


def _logits(model: Any, ids: Tensor, rows: Tensor) -> Tensor:
    logits: Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    return logits[0][rows] if logits.ndim == 3 else logits  # noqa: PLR2004 - [B, T, O] or [B, O]


def reads_last_piece(shop: Workshop) -> bool:
    """Whether a word's tag stands at its last sub-word, not its first."""
    return family_of(shop.network.encoder.transformer.config).word_piece == "last"
