"""A small bundle with random weights: every kind of head, real files, no training."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from polyhead_server.bundle import (
    MANIFEST,
    EncoderSpec,
    Figure,
    HeadSpec,
    Manifest,
    TokenizerSpec,
    seal_bundle,
)
from polyhead_server.shapes import SHAPES
from polyhead_server.words import default_lexicon

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = 16
MAX_TOKENS = 32
OVERLAP = 8
MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
HEADS = (
    HeadSpec(
        name="sentiment",
        kind="classification",
        labels=("negative", "neutral", "positive"),
        file="heads/sentiment.safetensors",
        figures=(Figure("made-up", "test", "accuracy", 0.5),),
    ),
    HeadSpec("entities", "spans", ("PER", "ORG", "LOC"), "heads/entities.safetensors"),
    HeadSpec("pos", "tagging", ("NOUN", "VERB", "PUNCT", "X"), "heads/pos.safetensors"),
    HeadSpec("topic", "classification", ("a", "b"), "heads/topic.safetensors", pooling="max"),
)


def write_tiny_bundle(path: Path, version: str = "1", heads: tuple[HeadSpec, ...] = HEADS) -> Path:
    """Write the bundle into a new directory and return it."""
    (path / "heads").mkdir(parents=True)
    rng = np.random.default_rng(0)
    tokenizer = tiny_tokenizer()
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "words.json").write_text(json.dumps(default_lexicon()), encoding="utf-8")
    ov.save_model(_encoder(rng, tokenizer.get_vocab_size()), path / "encoder.xml")
    for head in heads:
        save_file(_head(rng, head), path / head.file)
    seal_bundle(path, _manifest(version, heads))
    return path


def edit_manifest(bundle: Path, *path: str | int, value: object) -> None:
    """Change one field of a bundle's manifest, whatever it is then."""
    file = bundle / MANIFEST
    content = json.loads(file.read_text(encoding="utf-8"))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file.write_text(json.dumps(content), encoding="utf-8")


def tiny_tokenizer() -> Tokenizer:
    """Word pieces of one character each, and of a few whole words."""
    chars = string.ascii_lowercase + string.digits + string.punctuation
    pieces = [*MARKS, *chars, *(f"##{char}" for char in chars), "the", "word", "fans", "in"]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _manifest(version: str, heads: tuple[HeadSpec, ...]) -> Manifest:
    return Manifest(
        name="tiny",
        version=version,
        language="en",
        encoder=EncoderSpec("encoder.xml", "fp32", HIDDEN, "none"),
        tokenizer=TokenizerSpec(
            file="tokenizer.json",
            words="words.json",
            prefix=(2,),
            suffix=(3,),
            unknown=1,
            max_tokens=MAX_TOKENS,
            overlap=OVERLAP,
            max_word_pieces=20,
        ),
        heads=heads,
    )


def _head(rng: np.random.Generator, spec: HeadSpec) -> dict[str, np.ndarray]:
    return {
        "out.weight": rng.normal(size=(spec.outputs, HIDDEN)).astype(np.float32),
        "out.bias": np.zeros(spec.outputs, np.float32),
    }


def _encoder(rng: np.random.Generator, vocabulary: int) -> ov.Model:
    """One attention layer without weights of its own over embeddings, masked by segment."""
    names = ("input_ids", "position_ids", "segment_ids", "shape_ids")
    inputs = [ops.parameter([-1], np.int32, name=name) for name in names]
    ids, positions, segments, shapes = inputs
    vectors = ops.add(
        ops.add(_embed(rng, vocabulary, ids), _embed(rng, MAX_TOKENS, positions)),
        _embed(rng, SHAPES, shapes),
    )
    same = ops.equal(ops.unsqueeze(segments, 0), ops.unsqueeze(segments, 1))
    mask = ops.select(same, np.float32(0), np.float32(-1e9))
    scores = ops.matmul(vectors, vectors, transpose_a=False, transpose_b=True)
    weights = ops.softmax(ops.add(ops.multiply(scores, np.float32(0.25)), mask), axis=1)
    context = ops.matmul(weights, vectors, transpose_a=False, transpose_b=False)
    model = ov.Model([ops.add(vectors, context)], inputs, "tiny")
    for port, name in zip(model.inputs, names, strict=True):
        port.set_names({name})
    return model


def _embed(rng: np.random.Generator, rows: int, index: ov.Node) -> ov.Node:
    table = rng.normal(scale=0.5, size=(rows, HIDDEN)).astype(np.float32)
    return ops.gather(ops.constant(table), index, np.int32(0))
