"""Vectors of the served encoder, for heads to be trained or calibrated on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from polyhead_server.features import Features, batch_features, merge_features
from polyhead_server.heads import POOLS
from polyhead_server.offline import packed
from polyhead_server.packing import pack
from polyhead_training.evaluation import BATCH_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from polyhead_server.bundle import HeadSpec
    from polyhead_server.encoding import Document, Window
    from polyhead_server.engine import Hidden
    from polyhead_server.model import Model

_TOGETHER = 256
"""Documents whose vectors are held at once: a long one has many more than its head reads."""

_Place = tuple[int, int]
"""A document's number, and that of one of its windows."""


def document_rows(
    model: Model,
    documents: Sequence[Document],
    spec: HeadSpec,
    progress: Callable[[int], object] | None = None,
) -> list[Hidden]:
    """What a head reads of documents: long ones in windows, merged as in serving.

    Args:
        model: its engine encodes packed batches.
        documents: in any order and of any length.
        spec: the head.
        progress: told the number of documents done with every step.

    Returns:
        For each document the pooled vector, [1, H], or each word's, [W, H].
    """
    order = sorted(range(len(documents)), key=lambda number: documents[number].tokens)
    found: dict[int, Hidden] = {}
    with threadpool_limits(1, user_api="blas"):  # its idle threads would slow the engine's
        for start in range(0, len(order), _TOGETHER):
            part = order[start : start + _TOGETHER]
            whole = _features(model, [documents[number] for number in part])
            found |= {number: _rows(item, spec) for number, item in zip(part, whole, strict=True)}
            if progress:
                progress(len(part))
    return [found[number] for number in range(len(documents))]


def _rows(features: Features, spec: HeadSpec) -> Hidden:
    if spec.kind == "classification":
        return POOLS[spec.pooling](features)[None]
    return features.words


def _features(model: Model, documents: Sequence[Document]) -> list[Features]:
    offset = model.bundle.manifest.tokenizer.position_offset
    parts: dict[_Place, Features] = {}
    for places, windows in _batches(documents):
        batch = pack(windows, offset)
        found = batch_features(model.engine.infer(batch), batch.starts, windows)
        parts |= zip(places, found, strict=True)
    return [
        merge_features([parts[number, window] for window in range(len(document.windows))])
        for number, document in enumerate(documents)
    ]


def _batches(documents: Sequence[Document]) -> Iterator[tuple[list[_Place], list[Window]]]:
    """Windows of like length together, up to so many tokens."""

    def window(place: _Place) -> Window:
        return documents[place[0]].windows[place[1]]

    def tokens(place: _Place) -> int:
        return len(window(place).ids)

    places = [(n, w) for n, document in enumerate(documents) for w in range(len(document.windows))]
    for chosen in packed(sorted(places, key=tokens), tokens, BATCH_TOKENS):
        yield chosen, [window(place) for place in chosen]
