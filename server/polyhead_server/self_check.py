"""Does the engine compute aright on this machine? Asked once, before the first caller.

Fixed texts are encoded and compared with vectors that the bundle brings from its export, or, where
it brings none, with what this machine gives in f32 without int8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from polyhead_server.engine import INPUTS
from polyhead_server.errors import BundleError, NoWordsError, StartError
from polyhead_server.packing import Packed, pack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from polyhead_server.encoding import DocumentEncoder, IntArray
    from polyhead_server.engine import Engine, Hidden
    from polyhead_server.model import Model

CHECK_FILE = "encoder_check.safetensors"
"""What export calls the vectors."""

TEXTS = (
    "It was good.",
    "On 7 May 1999, NATO's Gen. Wesley K. Clark spoke for 40 minutes in Brussels!",
    "apple is said to buy a U.K. startup for $1.2 billion; its shares fell 3 % (to 187.44)",
    "nobody that I know would ever go back there - not for FREE, not even on a rainy Sunday",
)
"""Of several lengths, with marks, digits and letters of either case."""

TOLERANCE = 0.25
"""Relative error that passes where the bundle says nothing: int8 and bf16 together make 0.02 of the
default encoder, a processor that gets int8 products wrong makes about 1."""

_LEAST_TOLERANCE = 0.1
_EXPORT_MARGIN = 3.0
"""How much worse than on the machine that exported it a bundle may be computed."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What should come out of the encoder."""

    batch: Packed
    vectors: Hidden
    """[used, H]."""
    tolerance: float = TOLERANCE
    """Relative error that passes."""


def check_batch(encoder: DocumentEncoder, position_offset: int) -> Packed:
    """The fixed texts, packed. What a vocabulary cannot read is left out."""
    windows = []
    for text in TEXTS:
        try:
            windows.append(encoder.encode(text).windows[0])
        except NoWordsError:
            continue
    return pack(windows, position_offset)


def check_engine(model: Model) -> float | None:
    """Compare the engine of a model with what should come out.

    Returns:
        The relative error; None where there is nothing to compare with, since the engine computes
        in f32 and the bundle brings no vectors.

    Raises:
        BundleError: the bundle's vectors cannot be read.
        StartError: the engine gives something else.
    """
    reference = _reference(model)
    if reference is None:
        return None
    found = relative_error(model.engine, reference.batch, reference.vectors)
    if not found <= reference.tolerance:  # nor is nan
        facts = model.engine.facts
        raise StartError(
            f"{facts.device} does not compute this bundle aright with {facts.engine} in "
            f"{facts.weights} and {facts.floats}: its vectors are {found:.2g} off, "
            f"{reference.tolerance:.2g} at most is wanted"
        )
    return found


def relative_error(engine: Engine, batch: Packed, vectors: Hidden) -> float:
    """Length of the difference over the length of what should come out.

    The first window is run by itself, too: in other shapes other machine code runs.
    """
    together = engine.infer(batch)[: batch.used].copy()
    rows = batch.starts[1] if len(batch.starts) > 1 else batch.used
    alone = engine.infer(_first(batch, rows))[:rows]
    wrong = max(_distance(together, vectors), _distance(alone, vectors[:rows]), key=_nan_last)
    return float(wrong)


def write_reference(file: Path, batch: Packed, vectors: Hidden, error: float) -> None:
    """Write what a bundle brings.

    Args:
        file: where to.
        batch: the fixed texts.
        vectors: what should come out, [used, H].
        error: how far off the exporting machine's own engine is.
    """
    tolerance = max(_LEAST_TOLERANCE, _EXPORT_MARGIN * error)
    arrays = {
        **dict(zip(INPUTS, batch.columns, strict=True)),
        "starts": np.array(batch.starts, np.int32),
        "vectors": np.ascontiguousarray(vectors, np.float32),
        "tolerance": np.array([tolerance], np.float32),
    }
    file.write_bytes(save(arrays))


def read_reference(file: Path, width: int) -> Reference:
    """Read what a bundle brings.

    Args:
        file: where it is.
        width: values of a vector.

    Raises:
        BundleError: it is not such a file.
    """
    try:
        arrays = load_file(file)
        columns = [arrays[name].astype(np.int32) for name in INPUTS]
        vectors = arrays["vectors"].astype(np.float32)
        starts = tuple(int(row) for row in arrays["starts"])
        tolerance = float(arrays["tolerance"][0])
    except (OSError, SafetensorError, TypeError, KeyError, ValueError, IndexError):
        raise BundleError(f"{file.name} holds no vectors to check the engine by") from None
    used = len(vectors)
    even = all(column.shape == columns[0].shape and column.ndim == 1 for column in columns)
    placed = bool(starts) and starts[0] == 0 and all(0 <= row < used for row in starts)
    if not even or not placed or vectors.shape != (used, width) or used > len(columns[0]):
        raise BundleError(f"{file.name} does not fit the encoder")
    return Reference(_packed(columns, starts, used), vectors, tolerance)


def _reference(model: Model) -> Reference | None:
    spec = model.bundle.manifest.encoder
    if spec.check is not None:
        return read_reference(model.bundle.path / spec.check, spec.hidden_size)
    batch = model.check_batch()
    vectors = model.engine.plain(batch)
    return None if vectors is None else Reference(batch, vectors[: batch.used])


def _first(batch: Packed, rows: int) -> Packed:
    """The batch's first window as a batch of its own, not filled up."""
    return _packed([np.ascontiguousarray(column[:rows]) for column in batch.columns], (0,), rows)


def _packed(columns: Sequence[IntArray], starts: tuple[int, ...], used: int) -> Packed:
    ids, positions, segments, shapes = columns
    return Packed(ids, positions, segments, shapes, starts, used)


def _distance(ours: Hidden, theirs: Hidden) -> float:
    return float(np.linalg.norm(ours - theirs) / max(float(np.linalg.norm(theirs)), 1e-9))


def _nan_last(value: float) -> float:
    return np.inf if np.isnan(value) else value
