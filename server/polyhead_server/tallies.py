"""What the heads say, counted: labels and scores, so that drift can be seen without any text.

Counting each answer as it comes would cost more than some heads do. So answers are put aside, and
counted by numpy a few hundred at a time, or when somebody reads the metrics.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from polyhead_server.heads import ClassificationOutput, SpansOutput, TaggingOutput
from polyhead_server.quick_metrics import cumulated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from prometheus_client.metrics_core import Metric

    from polyhead_server.bundle import HeadSpec
    from polyhead_server.heads import HeadOutput

SCORES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
"""Histogram bounds for probabilities: most answers of a good head are above 0.9."""
_BOUNDS = np.array(SCORES)

MOST_LABELS = 100
"""Labels of a head that are told apart; those behind them are counted together."""
_REST = "(others)"
_MOST_WINDOWS = 256
"""Windows of answers that are put aside: in all a few MiB at most."""


class Tally:
    """The labels and scores of one head.

    Args:
        task: the head's name.
        labels: its labels.
    """

    def __init__(self, task: str, labels: Sequence[str]) -> None:
        self.task = task
        self.labels = tuple(labels[:MOST_LABELS])
        if len(labels) > MOST_LABELS:
            self.labels = (*self.labels, _REST)
        self.documents = 0
        self.counts = np.zeros(len(self.labels), np.int64)
        self.buckets = np.zeros(len(SCORES) + 1, np.int64)
        self.sum = 0.0

    def count(self, outputs: Sequence[HeadOutput]) -> None:
        """Count the answers to some documents."""
        self.documents += len(outputs)
        found, scores = _found(outputs)
        if not len(found):
            return
        last = len(self.labels) - 1
        self.counts += np.bincount(np.minimum(found, last), minlength=last + 1)
        places = np.searchsorted(_BOUNDS, scores, side="left")
        self.buckets += np.bincount(places, minlength=len(SCORES) + 1)
        self.sum += float(scores.sum())


@dataclass(frozen=True, slots=True)
class _Answers:
    """The answers to some documents."""

    tallies: Mapping[str, Tally]
    tasks: Collection[str]
    documents: Sequence[Mapping[str, HeadOutput]]


class Tallies:
    """Counts what all heads say; a collector for a registry. Thread-safe."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[str, ...]], Tally] = {}
        self._aside: deque[_Answers] = deque()
        self._windows = 0
        self._counting = threading.Lock()

    def of(self, heads: Iterable[HeadSpec]) -> dict[str, Tally]:
        """The tallies of a bundle's heads, by task; bundles with the same head share one."""
        with self._counting:
            return {
                head.name: self._known.setdefault(
                    (head.name, head.labels), Tally(head.name, head.labels)
                )
                for head in heads
            }

    def add(
        self,
        tallies: Mapping[str, Tally],
        tasks: Collection[str],
        documents: Sequence[Mapping[str, HeadOutput]],
        windows: int,
    ) -> None:
        """Put answers aside to be counted; by one thread at a time.

        Args:
            tallies: those of the bundle that answered.
            tasks: heads that were asked for; results of others are not counted.
            documents: results by task.
            windows: windows of all documents.
        """
        self._aside.append(_Answers(tallies, tasks, documents))
        self._windows += windows
        if self._windows >= _MOST_WINDOWS:
            self._windows = 0
            self.count()

    def count(self) -> None:
        """Count what was put aside."""
        with self._counting:
            groups: dict[Tally, list[HeadOutput]] = {}
            for _ in range(len(self._aside)):
                answers = self._aside.popleft()
                for task in answers.tasks:
                    group = groups.setdefault(answers.tallies[task], [])
                    group += [results[task] for results in answers.documents]
            for tally, outputs in groups.items():
                tally.count(outputs)

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for."""
        self.count()
        with self._counting:
            tallies = tuple(self._known.values())
            yield from _families(tallies)


def _families(tallies: Sequence[Tally]) -> tuple[Metric, ...]:
    documents = CounterMetricFamily(
        "polyhead_head_documents", "Documents that a head was asked about.", labels=("task",)
    )
    labels = CounterMetricFamily(
        "polyhead_labels",
        "Labels that a head gave: to documents, words or spans.",
        labels=("task", "label"),
    )
    scores = HistogramMetricFamily(
        "polyhead_scores", "Probabilities of the labels that a head gave.", labels=("task",)
    )
    for task in dict.fromkeys(tally.task for tally in tallies):
        same = [tally for tally in tallies if tally.task == task]
        documents.add_metric((task,), sum(tally.documents for tally in same))
        for label, count in _by_label(same).items():
            labels.add_metric((task, label), count)
        buckets = sum((tally.buckets for tally in same), np.zeros(len(SCORES) + 1, np.int64))
        total = sum(tally.sum for tally in same)
        scores.add_metric((task,), cumulated(SCORES, buckets.tolist()), total)
    return documents, labels, scores


def _by_label(tallies: Iterable[Tally]) -> Counter[str]:
    """Counts by label, those that never came included."""
    counts: Counter[str] = Counter()
    for tally in tallies:
        for label, count in zip(tally.labels, tally.counts.tolist(), strict=True):
            counts[label] += count
    return counts


def _found(outputs: Sequence[HeadOutput]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Indices of the labels in some results, and their probabilities: [N] and [N]."""
    indices: list[int] = []
    scores: list[float] = []
    tagged = [output for output in outputs if isinstance(output, TaggingOutput)]
    if tagged:
        tags = np.concatenate([output.tags for output in tagged])
        return tags, np.concatenate([output.scores for output in tagged])
    for output in outputs:
        if isinstance(output, ClassificationOutput):
            indices.append(output.index)
            scores.append(output.scores[output.index])
        elif isinstance(output, SpansOutput):
            for span in output.spans:
                indices.append(span.label)
                scores.append(span.score)
    return np.asarray(indices, np.intp), np.asarray(scores, np.float32)
