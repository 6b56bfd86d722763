"""What a served bundle answers to the data of a configuration, text by text."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server.heads import ClassificationOutput, SpansOutput
from polyhead_training.added_heads import added_names
from polyhead_training.batches import source_of
from polyhead_training.config import load_config
from polyhead_training.errors import TrainingError
from polyhead_training.evaluation import annotate, labels_of
from polyhead_training.workshop import EVALUATION_TOKENS, SPLITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from polyhead_server.bundle import Bundle, HeadSpec
    from polyhead_server.heads import HeadOutput
    from polyhead_server.model import Model
    from polyhead_training.config import Config, SourceConfig
    from polyhead_training.data import Example, SourceData
    from polyhead_training.data.examples import Span

Answer = str | list[str]
"""A label, or a tag for every word."""


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What a bundle makes of a sentence when it splits the words itself."""

    words: Sequence[Span]
    tags: list[str]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a data set with a bundle's answers."""

    source: SourceConfig
    split: str
    kind: str
    labels: tuple[str, ...]
    """The labels that count, in the head's order."""
    examples: Sequence[Example]
    answers: Sequence[Answer]
    scores: Sequence[Sequence[float]]
    """Probability of an example's label among those that count, of each word's tag, or of each
    predicted span, in order."""
    raw: Sequence[RawAnswer] | None = None
    """From the text instead of the words; for tagging whose data have both."""

    @property
    def key(self) -> tuple[str, str]:
        """Source and split."""
        return self.source.name, self.split


def own_config(bundle: Bundle) -> Config | None:
    """The configuration that a bundle was trained with, where it says so."""
    text = bundle.manifest.provenance.get("config")
    if not isinstance(text, str):
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_text(text, encoding="utf-8")
        config = load_config(file)
    name = f"{bundle.path} (its own configuration)"
    added = added_names(bundle.manifest)  # their data are not the configuration's
    own = (item for item in config.sources if item.head not in added)
    return replace(config, sources=tuple(replace(item, config=name) for item in own))


def measured_config(config: Config | None, bundles: Sequence[Bundle]) -> Config:
    """A configuration with what can be measured: dev and test data of heads that all bundles have.

    Args:
        config: the configuration; None for that of the first bundle that knows its own.
        bundles: those to be measured.

    Raises:
        TrainingError: there is nothing to measure.
    """
    found = config or next(filter(None, map(own_config, bundles)), None)
    if found is None:
        raise TrainingError("no bundle says how it was trained: give --config")
    sources = tuple(
        replace(source, train=(), hold_out=0)
        for source in found.sources
        if (source.dev or source.test) and counted_labels(found, source, bundles)
    )
    if not sources:
        raise TrainingError(
            "the configuration has no dev or test data for a head with labels that "
            + ("the bundle has" if len(bundles) == 1 else "the bundles share")
        )
    return replace(found, sources=sources)


def counted_labels(
    config: Config, source: SourceConfig, bundles: Sequence[Bundle]
) -> tuple[str, ...]:
    """A source's labels that all bundles have; none where a head is missing or differs in kind."""
    own = config.head(source.head)
    specs = [head_of(bundle, source.head) for bundle in bundles]
    known = source.among or own.labels
    if not all(spec and spec.kind == own.kind for spec in specs):
        return ()
    common = tuple(label for label in known if all(spec and label in spec.labels for spec in specs))
    return common if own.kind == "spans" or len(common) > 1 else ()


def head_of(bundle: Bundle, name: str) -> HeadSpec | None:
    """A bundle's head, if it has it."""
    return next((head for head in bundle.heads if head.name == name), None)


def predictions(
    model: Model,
    config: Config,
    data: Mapping[str, SourceData],
    labels: Callable[[SourceConfig], tuple[str, ...]],
) -> Iterator[Part]:
    """A bundle's answers to all dev and test data.

    Args:
        model: the bundle.
        config: a measured configuration.
        data: its data.
        labels: the labels of a source that count; texts with another label are left out.
    """
    for split in SPLITS:
        for source in config.sources:
            if examples := getattr(data[source.name], split):
                part = answered_part(model, source, split, examples, labels(source))
                if part.examples:
                    yield part


def answered_part(
    model: Model,
    source: SourceConfig,
    split: str,
    examples: Iterable[Example],
    labels: tuple[str, ...],
) -> Part:
    """A bundle's answers to one part of a data set; texts with other labels are left out."""
    spec = head_of(model.bundle, source.head)
    assert spec is not None  # noqa: S101 - what is measured is what the bundle has
    counted = [e for e in examples if not isinstance(e.target, str) or e.target in labels]
    found = annotate(
        model, [source_of(e) for e in counted], source.head, batch_tokens=EVALUATION_TOKENS
    )
    answers = [labels_of(output, spec, len(doc.words), labels) for doc, output in found]
    scores = [_scores(output, spec, labels) for _, output in found]
    raw = _raw(model, spec, counted, labels)
    return Part(source, split, spec.kind, labels, counted, answers, scores, raw)


def _scores(output: HeadOutput, spec: HeadSpec, labels: Sequence[str]) -> list[float]:
    if isinstance(output, ClassificationOutput):
        among = [float(output.scores[spec.labels.index(label)]) for label in labels]
        return [max(among) / max(sum(among), 1e-30)]
    if isinstance(output, SpansOutput):
        return [span.score for span in output.spans if spec.labels[span.label] in labels]
    return [float(score) for score in output.scores]


def _raw(
    model: Model, spec: HeadSpec, examples: Sequence[Example], labels: tuple[str, ...]
) -> list[RawAnswer] | None:
    whole = all(example.spans is not None and example.text for example in examples)
    if spec.kind != "tagging" or not examples or not whole:
        return None
    texts = [example.text or "" for example in examples]
    found = annotate(model, texts, spec.name, batch_tokens=EVALUATION_TOKENS)
    return [
        RawAnswer(doc.words, list(labels_of(output, spec, len(doc.words), labels)))
        for doc, output in found
    ]
