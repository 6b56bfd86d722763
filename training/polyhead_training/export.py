"""From a trained network to a bundle, proven with the engine that will serve it."""

from __future__ import annotations

import random
import shutil
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
import torch
from safetensors.numpy import load_file, save

from polyhead_server.bundle import Figure, open_bundle, seal_bundle
from polyhead_server.errors import BundleError
from polyhead_server.heads import ClassificationOutput, SpansOutput
from polyhead_server.model import Model
from polyhead_server.offline import packed
from polyhead_server.packing import pack
from polyhead_training.batches import source_of
from polyhead_training.bundle_place import check_place, place_beside, take_place
from polyhead_training.bundle_update import update_bundle
from polyhead_training.calibration import calibrate, heated
from polyhead_training.card import CARD, STAND_IN, model_card
from polyhead_training.errors import ExportError
from polyhead_training.evaluation import Measure, annotate
from polyhead_training.export_parts import write_encoder_parts
from polyhead_training.quantise import quantise, trace_encoder
from polyhead_training.scored import score_part
from polyhead_training.torch_engine import TorchEngine, head_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from polyhead_server.bundle import Manifest
    from polyhead_server.encoding import Source, Window
    from polyhead_server.heads import HeadOutput
    from polyhead_training.workshop import Workshop

_CPU = torch.device("cpu")
_CALIBRATION_TOKENS = 128
_PROOF_TEXTS = 64
_LEAST_COSINE = {"int8": 0.95, "fp32": 0.999}
"""Least mean cosine between served and torch vectors of the same token."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How close the served encoder is to torch, on texts held out where there are any."""

    texts: int
    cosine: float
    """Mean cosine between the vectors of a token."""
    agreement: dict[str, float]
    """By head: fraction of texts with the same label, or of words with the same tag."""


def export_bundle(shop: Workshop, out: Path, facts: dict[str, Any]) -> Proof:
    """Write a bundle from the network's present weights and reopen it for a comparison.

    The bundle is made beside ``out`` and takes its place when it has passed. The network is on the
    CPU for that, in fp32, and then back where it was.

    Args:
        shop: configuration, data and network.
        out: the bundle's directory; an older bundle there is replaced.
        facts: added to the provenance.

    Raises:
        ExportError: the bundle cannot be read by the server, or gives something else than torch,
            or ``out`` is something else than a bundle.
    """
    check_place(out)
    shop.network.eval().to(_CPU)
    try:
        local = replace(shop, hardware=replace(shop.hardware, device=_CPU, bf16=False))
        return _proven(local, out, facts)
    finally:
        shop.network.to(shop.hardware.device)


def _proven(shop: Workshop, out: Path, facts: dict[str, Any]) -> Proof:
    """Write a bundle beside its place, prove it, and put it there."""
    fresh = place_beside(out)
    (fresh / "heads").mkdir(parents=True)
    try:
        _write_bundle(shop, fresh, facts)
        proof = _prove_and_calibrate(shop, fresh)
    except BaseException:
        shutil.rmtree(fresh)
        raise
    take_place(fresh, out)
    return proof


def _write_bundle(shop: Workshop, fresh: Path, facts: dict[str, Any]) -> None:
    plain = shop.manifest()
    shop.assets.write(fresh)
    _write_encoder(shop, fresh, plain)
    plain = replace(plain, encoder=write_encoder_parts(shop, fresh, plain.encoder))
    for head in plain.heads:
        # Not save_file: it makes files that only their owner can read.
        (fresh / head.file).write_bytes(save(head_tensors(shop.network, head.name)))
    whole = replace(plain, provenance={**provenance(shop), **facts})
    (fresh / CARD).write_text(model_card(whole), encoding="utf-8")
    seal_bundle(fresh, whole)


def record_figures(bundle: Path, served: Sequence[Measure], reference: Sequence[Measure]) -> None:
    """Write measured figures into the manifest and the model card of a bundle.

    A kill at any moment leaves a whole bundle, with or without them.
    """
    whole = open_bundle(bundle).manifest
    heads = tuple(
        replace(head, figures=tuple(_figure(m) for m in served if m.head == head.name))
        for head in whole.heads
    )
    known = {**whole.provenance, "torch_figures": [asdict(measure) for measure in reference]}
    whole = replace(whole, heads=heads, provenance=known)
    update_bundle(bundle, whole)


def _figure(measure: Measure) -> Figure:
    return Figure(measure.source, measure.split, measure.metric, round(measure.value, 5))


def provenance(shop: Workshop) -> dict[str, Any]:
    """Where a bundle comes from: encoder, configuration, and data sets with their licences."""
    config = shop.config
    stand_in = {"encoder_taken_from": STAND_IN} if shop.origin.stand_in else {}
    return {
        **stand_in,
        "config": config.path.read_text(encoding="utf-8"),
        "seed": config.seed,
        "data_sets": [
            {
                "name": source.name,
                "head": source.head,
                "licence": source.licence or "not stated",
                "trained_on": bool(source.train),
            }
            for source in config.sources
        ],
    }


def _write_encoder(shop: Workshop, bundle: Path, plain: Manifest) -> None:
    graph = trace_encoder(shop.network.encoder)
    if shop.config.export.precision == "int8":
        windows = _calibration(shop)
        graph = quantise(graph, windows, shop.assets.spec.position_offset)
    ov.save_model(graph, bundle / plain.encoder.file, compress_to_fp16=False)


def _calibration(shop: Workshop) -> list[list[Window]]:
    """Batches of windows of training texts, as many texts from each source."""
    rng = random.Random(shop.config.seed)
    encoder = shop.assets.encoder()
    served = {head.name for head in shop.config.heads if head.export}
    sources = [s for s in shop.config.sources if s.train and s.head in served]
    share = max(1, shop.config.export.calibration_samples // len(sources))
    windows: list[Window] = []
    for source in sources:
        examples = shop.data[source.name].train
        chosen = rng.sample(examples, min(share, len(examples)))
        windows += [encoder.encode(source_of(example)).windows[0] for example in chosen]
    rng.shuffle(windows)
    return list(packed(windows, lambda window: len(window.ids), _CALIBRATION_TOKENS))


def _prove_and_calibrate(shop: Workshop, bundle: Path) -> Proof:
    try:
        served = Model.load(bundle, threads=shop.config.training.threads)
    except BundleError as error:
        raise ExportError(f"the server cannot read the exported bundle: {error}") from error
    proof = _prove(shop, served)
    if shop.config.export.calibrate:
        _calibrate(shop, served)
    served.close()
    return proof


def _prove(shop: Workshop, served: Model) -> Proof:
    texts = _proof_texts(shop)
    reference = shop.model()
    cosine = _cosine(shop, served, texts)
    agreement = {
        head.name: _agreement(
            [out for _, out in annotate(served, texts, head.name)],
            [out for _, out in annotate(reference, texts, head.name)],
        )
        for head in served.bundle.heads
    }
    least = _LEAST_COSINE[shop.config.export.precision]
    if cosine < least:
        raise ExportError(
            f"the exported encoder is not the trained one: mean cosine {cosine:.4f}, "
            f"at least {least} is wanted"
        )
    return Proof(len(texts), cosine, agreement)


def _calibrate(shop: Workshop, served: Model) -> None:
    """Give each head its temperature, by what the served encoder gives on dev data."""
    path, whole = served.bundle.path, served.bundle.manifest
    found = []
    for spec in served.bundle.heads:
        tensors = load_file(path / spec.file)
        parts = [
            score_part(served, spec, tensors, source, split, examples)
            for source in shop.config.sources
            for split in ("dev", "test")
            if source.head == spec.name and (examples := getattr(shop.data[source.name], split))
        ]
        if known := calibrate(spec.name, parts):
            (path / spec.file).write_bytes(save(heated(tensors, known.temperature)))
            found.append(known)
    known_facts = {**whole.provenance, "calibration": [asdict(known) for known in found]}
    whole = replace(whole, provenance=known_facts)
    (path / CARD).write_text(model_card(whole), encoding="utf-8")
    seal_bundle(path, whole)


def _proof_texts(shop: Workshop) -> list[Source]:
    rng = random.Random(shop.config.seed + 1)
    parts = [shop.data[source.name] for source in shop.config.sources]
    pool = [example for part in parts for example in (part.dev or part.train)]
    return [source_of(example) for example in rng.sample(pool, min(_PROOF_TEXTS, len(pool)))]


def _cosine(shop: Workshop, served: Model, texts: Sequence[Source]) -> float:
    reference = TorchEngine(shop.network.encoder, _CPU)
    values = []
    for text in texts:
        batch = pack(served.tokenize(text).windows[:1], shop.assets.spec.position_offset)
        ours = served.engine.infer(batch)[: batch.used].copy()
        theirs = reference.infer(batch)[: batch.used]
        product = (ours * theirs).sum(axis=1)
        norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        values.append(float((product / np.maximum(norms, 1e-9)).mean()))
    return float(np.mean(values))


def _agreement(served: Sequence[HeadOutput], reference: Sequence[HeadOutput]) -> float:
    same = [_same(ours, theirs) for ours, theirs in zip(served, reference, strict=True)]
    return float(np.mean(same))


def _same(ours: HeadOutput, theirs: HeadOutput) -> float:
    if isinstance(ours, ClassificationOutput) and isinstance(theirs, ClassificationOutput):
        return float(ours.index == theirs.index)
    if isinstance(ours, SpansOutput) and isinstance(theirs, SpansOutput):
        key = [(s.first, s.end, s.label) for s in ours.spans]
        return float(key == [(s.first, s.end, s.label) for s in theirs.spans])
    assert not isinstance(ours, ClassificationOutput | SpansOutput)  # noqa: S101 - narrows
    assert not isinstance(theirs, ClassificationOutput | SpansOutput)  # noqa: S101 - narrows
    return float((ours.tags == theirs.tags).mean())
