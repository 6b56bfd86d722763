"""The multi-task torch model that LitServe, MLServer and Ray Serve serve: one pass, four heads.

Texts are sorted by length and cut into padded batches of few texts, so that little is padded.
Settings come from the environment: POLYHEAD_PEER_WEIGHTS (folder), POLYHEAD_PEER_THREADS, and
POLYHEAD_PEER_MODE (float32, bfloat16, compiled or int8).
"""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

CHUNK_TOKENS = 1024
"""Tokens of a padded batch, the padding included."""

Annotation = dict[str, Any]


def weights() -> Path:
    """Where the weights lie."""
    return Path(os.environ["POLYHEAD_PEER_WEIGHTS"])


def threads() -> int:
    """Threads that torch may use."""
    return int(os.environ["POLYHEAD_PEER_THREADS"])


def mode() -> str:
    """How the model computes."""
    return os.environ.get("POLYHEAD_PEER_MODE", "bfloat16")


class Head(nn.Module):
    """An output layer, with a tanh layer before it where the weights have one."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.hidden = _linear(tensors, "hidden") if "hidden.weight" in tensors else None
        self.out = _linear(tensors, "out")

    def forward(self, rows: Tensor) -> Tensor:
        """Logits, [N, L]."""
        if self.hidden is not None:
            rows = torch.tanh(self.hidden(rows))
        return self.out(rows)


class Network(nn.Module):
    """Encoder and heads."""

    def __init__(self, folder: Path, heads: dict[str, dict[str, Any]]) -> None:
        super().__init__()
        tensors = load_file(folder / "multitask.safetensors")
        settings = BertConfig.from_pretrained(folder)
        self.encoder = BertModel(
            settings, add_pooling_layer=False
        )  # attention: torch's own fused one
        self.encoder.load_state_dict(_under(tensors, "encoder."), strict=False)
        self.text_heads, self.word_heads = nn.ModuleDict(), nn.ModuleDict()
        for name, head in heads.items():
            group = self.text_heads if head["kind"] == "classification" else self.word_heads
            group[name] = Head(_under(tensors, f"heads.{name}."))

    def forward(self, ids: Tensor, mask: Tensor, words: Tensor) -> dict[str, Tensor]:
        """Logits by head: [B, L] of texts, [W, L] of words (flat places of first sub-words)."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weight).sum(dim=1) / weight.sum(dim=1)
        rows = hidden.flatten(0, 1)[words]
        found = {name: head(pooled) for name, head in self.text_heads.items()}
        return found | {name: head(rows) for name, head in self.word_heads.items()}


class MultiTask:
    """Texts in, the answers of all heads out."""

    def __init__(self) -> None:
        torch.set_num_threads(threads())
        folder = weights() / "multitask"
        self._heads = json.loads((folder / "heads.json").read_text(encoding="utf-8"))["heads"]
        self._tokenizer = Tokenizer.from_file(str(weights() / "tokenizer" / "tokenizer.json"))
        self._tokenizer.enable_truncation(256)
        self._tokenizer.no_padding()
        self._network = _prepared(Network(folder, self._heads).eval())
        self.annotate(["to be ready"])

    @torch.inference_mode()
    def annotate(self, texts: list[str]) -> list[Annotation]:
        """All heads on each text."""
        encodings = self._tokenizer.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda at: len(encodings[at].ids))
        found: list[Annotation] = [{}] * len(texts)
        for chunk in _chunks(order, encodings):
            annotated = self._run([texts[at] for at in chunk], [encodings[at] for at in chunk])
            for at, annotation in zip(chunk, annotated, strict=True):
                found[at] = annotation
        return found

    def _run(self, texts: list[str], encodings: list[Encoding]) -> list[Annotation]:
        longest = max(len(encoding.ids) for encoding in encodings)
        ids = torch.zeros((len(texts), longest), dtype=torch.long)
        mask = torch.zeros((len(texts), longest), dtype=torch.long)
        places: list[int] = []
        words = []
        for row, encoding in enumerate(encodings):
            count = len(encoding.ids)
            ids[row, :count] = torch.tensor(encoding.ids)
            mask[row, :count] = 1
            own = _words(encoding)
            words.append(own)
            places += [row * longest + place for place, _, _ in own]
        logits = self._network(ids, mask, torch.tensor(places, dtype=torch.long))
        best = {name: _best(values) for name, values in logits.items()}
        return self._described(texts, words, best)

    def _described(
        self,
        texts: list[str],
        words: list[list[tuple[int, int, int]]],
        best: dict[str, tuple[list[float], list[int]]],
    ) -> list[Annotation]:
        found: list[Annotation] = []
        begin = 0
        for row, (text, own) in enumerate(zip(texts, words, strict=True)):
            annotation: Annotation = {}
            for name, head in self._heads.items():
                scores, indices = best[name]
                labels = head["labels"]
                if head["kind"] == "classification":
                    annotation[name] = {"label": labels[indices[row]], "score": scores[row]}
                    continue
                tagged = [
                    {
                        "word": text[start:end],
                        "start": start,
                        "end": end,
                        "label": labels[indices[begin + at]],
                        "score": scores[begin + at],
                    }
                    for at, (_, start, end) in enumerate(own)
                ]
                annotation[name] = _spans(text, tagged) if head["kind"] == "spans" else tagged
            begin += len(own)
            found.append(annotation)
        return found


def _prepared(network: Network) -> nn.Module:
    if mode() == "int8":
        return torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, dtype=torch.qint8)
    if mode() == "float32":
        return network
    network = network.to(torch.bfloat16)
    if mode() == "compiled":
        network.encoder = torch.compile(network.encoder, dynamic=True)  # type: ignore[assignment]
    return network


def _chunks(order: list[int], encodings: list[Encoding]) -> list[list[int]]:
    """Neighbours in length together, the longest of a batch being its last."""
    found: list[list[int]] = []
    for at in order:
        if found and (len(found[-1]) + 1) * len(encodings[at].ids) <= CHUNK_TOKENS:
            found[-1].append(at)
        else:
            found.append([at])
    return found


def _words(encoding: Encoding) -> list[tuple[int, int, int]]:
    """Place of the first sub-word, start and end of each word."""
    offsets = encoding.offsets
    firsts = []
    before = None
    for place, word in enumerate(encoding.word_ids):
        if word is not None and word != before:
            firsts.append(place)
        before = word
    bounds = [*firsts, len(offsets) - 1]
    return [(at, offsets[at][0], offsets[then - 1][1]) for at, then in pairwise(bounds)]


def _best(logits: Tensor) -> tuple[list[float], list[int]]:
    scores, indices = logits.float().softmax(dim=-1).max(dim=-1)
    return scores.tolist(), indices.tolist()


def _spans(text: str, tagged: list[Annotation]) -> list[Annotation]:
    """Neighbouring words of one label, "B-" starting anew."""
    spans: list[Annotation] = []
    open_label = ""
    for word in tagged:
        place, _, label = word["label"].partition("-")
        if not label:
            open_label = ""
            continue
        if place == "B" or label != open_label:
            spans.append({**word, "label": label})
        else:
            spans[-1]["end"] = word["end"]
            spans[-1]["word"] = text[spans[-1]["start"] : word["end"]]
        open_label = label
    return spans


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: t for key, t in tensors.items() if key.startswith(prefix)}


def _linear(tensors: dict[str, Tensor], name: str) -> nn.Linear:
    weight = tensors[f"{name}.weight"]
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": tensors[f"{name}.bias"]})
    return layer
