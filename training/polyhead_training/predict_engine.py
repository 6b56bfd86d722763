"""A served bundle at work without a server: packed batches of any tasks, in the caller's thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from threadpoolctl import threadpool_limits

from polyhead_server.errors import BundleError
from polyhead_server.features import Features, merge_features
from polyhead_server.heads import TaggingOutput, load_head
from polyhead_server.model import Job, Model
from polyhead_server.offline import packed
from polyhead_training.batches import output_ids
from polyhead_training.errors import TrainingError
from polyhead_training.evaluation import labels_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from polyhead_server.bundle import HeadSpec
    from polyhead_server.encoding import Document, Source
    from polyhead_server.heads import HeadOutput

_BATCH_TOKENS = 256


def load_model(bundle: Path, threads: int = 0) -> Model:
    """Load a bundle for work in this process.

    Args:
        bundle: its directory.
        threads: inference threads, 0 for all.

    Raises:
        TrainingError: it cannot be read.
    """
    try:
        model = Model.load(bundle, threads=threads)
    except BundleError as error:
        raise TrainingError(str(error)) from None
    threadpool_limits(1, user_api="blas")  # its idle threads would slow the engine's
    return model


@dataclass(frozen=True, slots=True)
class Predicted:
    """What was found out about one text."""

    document: Document
    outputs: Mapping[str, HeadOutput]
    """By task."""
    features: Features
    """What the heads saw."""


class Predictor:
    """Annotates documents with some of a bundle's heads.

    Args:
        bundle: directory of the bundle.
        tasks: names of the heads, empty for all.
        threads: inference threads, 0 for all.

    Raises:
        TrainingError: the bundle cannot be read, or has no such head.
    """

    def __init__(self, bundle: Path, tasks: Sequence[str], threads: int = 0) -> None:
        self._model = load_model(bundle, threads)
        known = {spec.name: spec for spec in self._model.bundle.heads}
        if unknown := [task for task in tasks if task not in known]:
            raise TrainingError(
                f"{bundle} has no head {', '.join(unknown)}; there are: {', '.join(known)}"
            )
        names = dict.fromkeys(tasks or known)
        self.specs: dict[str, HeadSpec] = {name: known[name] for name in names}
        width = self._model.bundle.manifest.encoder.hidden_size
        self._heads = {name: load_head(bundle, spec, width) for name, spec in self.specs.items()}
        self._taggers = {
            name: load_head(bundle, _as_tagger(spec), width)
            for name, spec in self.specs.items()
            if spec.kind == "spans"
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._model.close()

    def read(self, source: Source) -> Document:
        """Cut a text into words, sub-words and windows.

        Raises:
            NoWordsError: it has no visible word.
        """
        return self._model.tokenize(source)

    def annotate(self, documents: Sequence[Document]) -> list[Predicted]:
        """Annotate some documents: their windows share batches."""
        if not documents:
            return []
        features = self._features(documents)
        found = {name: head(features) for name, head in self._heads.items()}
        return [
            Predicted(document, {name: outputs[n] for name, outputs in found.items()}, features[n])
            for n, document in enumerate(documents)
        ]

    def least_certain_word(self, predicted: Predicted, task: str) -> float:
        """Probability of the tag, O included, of the word whose tag is the least probable."""
        output, spec = predicted.outputs[task], self.specs[task]
        if isinstance(output, TaggingOutput):
            return float(output.scores.min())
        best = self._taggers[task]([predicted.features])[0]
        assert isinstance(best, TaggingOutput)  # noqa: S101 - it was made one
        ids = output_ids(spec)
        tags = labels_of(output, spec, len(best.tags), ())
        same = best.tags == [ids[tag] for tag in tags]
        # Where a well-formed sequence forbids a word's best tag, the other has the rest at most.
        return float(np.where(same, best.scores, 1 - best.scores).min())

    def _features(self, documents: Sequence[Document]) -> list[Features]:
        windows = [window for document in documents for window in document.windows]
        parts: list[Features] = []
        for batch in packed(
            [Job(window, ()) for window in windows], lambda job: job.tokens, _BATCH_TOKENS
        ):
            outputs = self._model.run(batch).outputs
            parts += [output for output in outputs if isinstance(output, Features)]
        ends = np.cumsum([len(document.windows) for document in documents])
        starts = ends - [len(document.windows) for document in documents]
        return [merge_features(parts[a:b]) for a, b in zip(starts, ends, strict=True)]


def _as_tagger(spec: HeadSpec) -> HeadSpec:
    """A spans head's outputs, each word's by itself."""
    return replace(spec, kind="tagging", labels=tuple(output_ids(spec)))
