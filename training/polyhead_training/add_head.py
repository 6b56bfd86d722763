"""Adds a head to a finished bundle, trained on the features of the encoder that serves it.

The encoder and the other heads stay as they are, to the last bit.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from safetensors.numpy import save

from polyhead_server.bundle import Figure, HeadSpec, open_bundle
from polyhead_server.errors import BundleError
from polyhead_server.model import Model
from polyhead_training.add_head_data import read_head_data
from polyhead_training.add_head_figures import Judgement, judge_head
from polyhead_training.add_head_fit import Fitted, Rows, fit_head
from polyhead_training.added_heads import with_head, without_head
from polyhead_training.adjacency import adjacent_cost
from polyhead_training.batches import source_of
from polyhead_training.bundle_place import check_place, place_beside, take_place
from polyhead_training.bundle_update import update_bundle
from polyhead_training.calibration import HeadCalibration, calibrate, heated
from polyhead_training.errors import TrainingError
from polyhead_training.features import document_rows
from polyhead_training.predictions import answered_part
from polyhead_training.scored import scored, target_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from polyhead_server.bundle import Bundle, Manifest
    from polyhead_training.add_head_data import HeadData
    from polyhead_training.add_head_order import HeadOrder
    from polyhead_training.data import Example
    from polyhead_training.predictions import Part
    from polyhead_training.scored import Floats

_PARTS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class AddedHead:
    """A head that was added, and how it came about."""

    spec: HeadSpec
    bundle: Path
    judgement: Judgement
    calibration: HeadCalibration | None
    fitted: Fitted
    counts: dict[str, int]
    """Texts by part."""
    untrained: tuple[str, ...]
    """Labels without a training text."""
    leaked: int
    """Training texts that are among the measured ones, too, or nearly."""
    feature_seconds: float
    fit_seconds: float
    seconds: float
    """All told."""


@dataclass(frozen=True, slots=True)
class _Vectors:
    """What the head reads of every text of a part."""

    examples: Sequence[Example]
    rows: list[Floats]

    def stacked(self, spec: HeadSpec) -> Rows:
        targets = [example.target for example in self.examples]
        return Rows(np.concatenate(self.rows), target_rows(spec, targets))


@dataclass(frozen=True, slots=True)
class _Made:
    """A head that was trained, before it is in any bundle."""

    spec: HeadSpec
    fitted: Fitted
    tensors: dict[str, Floats]
    calibration: HeadCalibration | None
    feature_seconds: float
    fit_seconds: float


def add_head(order: HeadOrder) -> AddedHead:
    """Train a head on the features of a bundle, and put it there or into a new bundle.

    Whatever goes wrong, the bundle stays what it was; it may be changed while a server reads it.

    Raises:
        InputError: everything that is wrong with the data files.
        TrainingError: the order, the bundle or the data do not allow it.
    """
    start = time.monotonic()
    order.check()
    bundle = opened(order.bundle)
    if order.out is not None:
        check_place(order.out)
    order.check_bundle(bundle)
    data = read_head_data(order)
    made = _make(order, data)
    judgement, whole = _commit(order, bundle, data, made)
    return AddedHead(
        next(head for head in whole.heads if head.name == order.name),
        order.out or order.bundle,
        judgement,
        made.calibration,
        made.fitted,
        {part: len(getattr(data, part)) for part in _PARTS},
        tuple(data.untrained),
        data.leaked(),
        made.feature_seconds,
        made.fit_seconds,
        time.monotonic() - start,
    )


def remove_head(path: Path, name: str, out: Path | None = None) -> None:
    """Take a head out of a bundle, or make a bundle without it.

    Args:
        path: the bundle.
        name: of the head.
        out: the new bundle; None to change the one there is.

    Raises:
        TrainingError: the bundle cannot be read, has no such head or no other.
    """
    bundle = opened(path)
    names = [head.name for head in bundle.heads]
    if name not in names:
        raise TrainingError(f'{path} has no head "{name}"; there are: {", ".join(names)}')
    if len(names) == 1:
        raise TrainingError(f'"{name}" is the only head of {path}: a bundle needs one')
    if out is not None:
        check_place(out)
    whole = without_head(bundle.manifest, name)
    if out is None or out.resolve() == path.resolve():
        update_bundle(path, whole)
        return
    staged = _staged(path, out.resolve())
    update_bundle(staged, whole)
    take_place(staged, out.resolve())


def opened(path: Path) -> Bundle:
    """Open a bundle.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        return open_bundle(path)
    except BundleError as error:
        raise TrainingError(str(error)) from None


def _make(order: HeadOrder, data: HeadData) -> _Made:
    """Encode all texts with the served encoder, fit the head and calibrate it."""
    spec = HeadSpec(
        order.name, order.kind, data.labels, f"heads/{order.name}.safetensors", order.pooling
    )
    begun = time.monotonic()
    vectors = _vectors(order, data, spec)
    encoded = time.monotonic()
    fitted = fit_head(
        vectors["train"].stacked(spec),
        vectors["dev"].stacked(spec),
        outputs=spec.outputs,
        hidden=order.hidden,
        passes=order.passes,
        seed=order.seed,
    )
    tensors = dict(fitted.tensors)
    if spec.kind == "spans":
        cost = adjacent_cost(example.target for example in data.train)
        tensors["adjacent"] = np.full(1, cost, np.float32)
    calibration = _calibration(order, data, spec, tensors, vectors) if order.calibrate else None
    if calibration:
        tensors = heated(tensors, calibration.temperature)
    done = time.monotonic()
    return _Made(spec, fitted, tensors, calibration, encoded - begun, done - encoded)


def _vectors(order: HeadOrder, data: HeadData, spec: HeadSpec) -> dict[str, _Vectors]:
    model = _load(order.bundle, order.threads)
    try:
        parts = {name: getattr(data, name) for name in _PARTS}
        examples = [example for part in parts.values() for example in part]
        documents = [model.tokenize(source_of(example)) for example in examples]
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task("encoding texts", total=len(documents))
            rows = document_rows(model, documents, spec, lambda n: bar.advance(task, n))
    finally:
        model.close()
    found, start = {}, 0
    for name, examples in parts.items():
        end = start + len(examples)
        found[name] = _Vectors(examples, rows[start:end])
        start = end
    return found


def _load(bundle: Path, threads: int) -> Model:
    try:
        return Model.load(bundle, threads=threads)
    except BundleError as error:
        raise TrainingError(str(error)) from None


def _calibration(
    order: HeadOrder,
    data: HeadData,
    spec: HeadSpec,
    tensors: dict[str, Floats],
    vectors: dict[str, _Vectors],
) -> HeadCalibration | None:
    source = order.source(order.data)
    parts = [
        scored(spec, tensors, vectors[part].rows, source, called, [e.target for e in examples])
        for part, called, examples in (
            ("dev", "dev", data.dev),
            ("test", data.measured, data.test),
        )
    ]
    return calibrate(spec.name, parts)


def _commit(
    order: HeadOrder, bundle: Bundle, data: HeadData, made: _Made
) -> tuple[Judgement, Manifest]:
    """Try the head in a copy of the bundle; then the copy, or the head in it, takes its place."""
    path, out = order.bundle.resolve(), (order.out or order.bundle).resolve()
    content = save(made.tensors)
    spec = replace(made.spec, file=_free_name(bundle, made.spec, content))
    staged = _staged(path, out)
    try:
        update_bundle(staged, _manifest(order, bundle, data, made, spec), {spec.file: content})
        judgement = _measure(order, staged, data)
        figures = tuple(
            Figure(judgement.data_set, judgement.split, item.metric, round(item.value, 5))
            for item in judgement.figures
        )
        facts = {"figures": judgement.rows(), "labels": judgement.label_rows()}
        spec = replace(spec, figures=figures)
        whole = _manifest(order, bundle, data, made, spec, facts)
        if out == path:
            update_bundle(out, whole, {spec.file: content})
        else:
            update_bundle(staged, whole)
            take_place(staged, out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return judgement, whole


def _staged(bundle: Path, out: Path) -> Path:
    """A copy of a bundle beside the place of the new one."""
    staged = place_beside(out)
    staged.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(bundle, staged)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error.strerror
        raise TrainingError(f"{bundle} cannot be copied to {staged}: {reason}") from error
    return staged


def _free_name(bundle: Bundle, spec: HeadSpec, content: bytes) -> str:
    """A file that no head of the bundle has: none may be written over while it is served."""
    if spec.file not in {head.file for head in bundle.heads}:
        return spec.file
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"heads/{spec.name}.{digest}.safetensors"


def _manifest(
    order: HeadOrder,
    bundle: Bundle,
    data: HeadData,
    made: _Made,
    spec: HeadSpec,
    facts: dict[str, Any] | None = None,
) -> Manifest:
    source = order.source(order.data)
    known = {
        "name": order.name,
        "kind": order.kind,
        "hidden": order.hidden,
        "seed": order.seed,
        "strength": made.fitted.strength,
        "passes": made.fitted.passes,
        "texts": {part: len(getattr(data, part)) for part in _PARTS},
        "files": {name: _sha256(file) for name, file in _files(order).items()},
        "figures": [],
        **(facts or {}),
    }
    sets = [{"name": source.name, "licence": order.licence or "not stated", "trained_on": True}]
    heat = [asdict(made.calibration)] if made.calibration else []
    whole = with_head(bundle.manifest, spec, known, sets, heat)
    return replace(whole, version=order.version or whole.version)


def _files(order: HeadOrder) -> dict[str, Path]:
    named = {"data": order.data, "dev": order.dev, "test": order.test}
    return {name: file for name, file in named.items() if file is not None}


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _measure(order: HeadOrder, bundle: Path, data: HeadData) -> Judgement:
    """Ask the new bundle, as a server reads it, about the texts that it has not seen."""
    model = _load(bundle, order.threads)
    try:
        source = order.source(order.data)
        part: Part = answered_part(model, source, data.measured, data.test, data.labels)
    finally:
        model.close()
    return judge_head(part, order.metrics)
