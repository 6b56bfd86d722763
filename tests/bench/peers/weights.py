"""The peers' weights: four transformers checkpoints, and one multi-task checkpoint for torch.

Run as a program, since it loads torch, which the process that measures must not:

    python -m tests.bench.peers.weights DIR [--run RUN]

With a training run both kinds hold its weights. What a standard class has no place for (letter-case
shapes, mean pooling) is left out of the checkpoints, as is the shape table of the multi-task one:
that spares the peers work. Without a run the same architecture is drawn at random: speed does not
depend on the values. The entity heads then find nothing, which spares the peers work again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    BertTokenizerFast,
)

from polyhead_server.bundle import open_bundle
from polyhead_server.settings import DEFAULT_BUNDLE
from polyhead_training.batches import output_ids
from polyhead_training.config import load_config
from polyhead_training.network import head_spec
from polyhead_training.transformers_model import standard_model
from polyhead_training.warm_start import CONFIG_COPY
from polyhead_training.workshop import reopen_workshop

if TYPE_CHECKING:
    from torch import Tensor


def main() -> None:
    """Write everything into a directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--run", type=Path)
    options = parser.parse_args()
    torch.manual_seed(1)
    if options.run is not None:
        _of_run(options.run, options.out)
    else:
        _drawn(options.out)


def _of_run(run: Path, out: Path) -> None:
    config = load_config(run / CONFIG_COPY)
    shop = reopen_workshop(config, {}, run)
    network = shop.network.eval()
    heads = {head.name: head for head in config.heads if head.export}
    shop.assets.tokenizer.save_pretrained(out / "tokenizer")
    tensors: dict[str, Tensor] = {}
    described: dict[str, dict[str, object]] = {}
    for name, head in heads.items():
        model = standard_model(shop, name)
        model.save_pretrained(out / name)
        shop.assets.tokenizer.save_pretrained(out / name)
        tensors |= {f"encoder.{key}": t for key, t in model.base_model.state_dict().items()}
        own = network.heads[name].state_dict()
        tensors |= {f"heads.{name}.{key}": t for key, t in own.items() if key != "adjacent"}
        labels = list(output_ids(head_spec(head)))
        described[name] = {"kind": head.kind, "labels": labels, "pooling": head.pooling}
    model.config.save_pretrained(out / "multitask")
    _write(out / "multitask", tensors, described, str(run))


def _drawn(out: Path) -> None:
    settings = BertConfig(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=512,
    )
    tokenizer = _tokenizer(out / "tokenizer")
    encoder = BertModel(settings, add_pooling_layer=False)
    tensors = {f"encoder.{key}": t for key, t in encoder.state_dict().items()}
    described: dict[str, dict[str, object]] = {}
    for head in open_bundle(DEFAULT_BUNDLE).heads:
        name, labels = head.name, list(output_ids(head))
        texts = head.kind == "classification"
        made = BertForSequenceClassification if texts else BertForTokenClassification
        settings.num_labels = len(labels)
        settings.id2label = dict(enumerate(labels))
        settings.label2id = {label: index for index, label in enumerate(labels)}
        model = made(settings)
        if name == "entities":
            with torch.no_grad():
                model.classifier.bias[0] = 10.0
        model.save_pretrained(out / name)
        tokenizer.save_pretrained(out / name)
        tensors |= {f"heads.{name}.out.{k}": t for k, t in model.classifier.state_dict().items()}
        if name == "sentiment":
            dense = model.bert.pooler.dense.state_dict()
            tensors |= {f"heads.{name}.hidden.{key}": t for key, t in dense.items()}
        described[name] = {"kind": head.kind, "labels": labels, "pooling": head.pooling}
    settings.save_pretrained(out / "multitask")
    _write(out / "multitask", tensors, described, "drawn at random")


def _tokenizer(place: Path) -> BertTokenizerFast:
    """The default bundle's vocabulary, as a tokenizer of transformers."""
    bundled = json.loads((DEFAULT_BUNDLE / "tokenizer.json").read_text(encoding="utf-8"))
    place.mkdir(parents=True)
    vocabulary = bundled["model"]["vocab"]
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    (place / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab_file=str(place / "vocab.txt"), model_max_length=512)
    tokenizer.save_pretrained(place)
    return tokenizer


def _write(
    folder: Path, tensors: dict[str, Tensor], heads: dict[str, dict[str, object]], origin: str
) -> None:
    plain = {key: tensor.detach().cpu().clone() for key, tensor in tensors.items()}
    save_file(
        {key: tensor for key, tensor in plain.items() if "pooler" not in key},
        folder / "multitask.safetensors",
    )
    content = {"heads": heads, "weights": origin}
    (folder / "heads.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
