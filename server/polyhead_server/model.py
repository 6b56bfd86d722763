"""A loaded bundle, ready to annotate: encode documents, run batches of windows, finish results."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from polyhead_server.bundle import open_bundle
from polyhead_server.encoding import DocumentEncoder
from polyhead_server.engine import EngineOptions
from polyhead_server.engines import OPENVINO, make_engine
from polyhead_server.errors import STOPS, BundleError
from polyhead_server.features import (
    FeatureBatch,
    Features,
    batch_features,
    merge_features,
    side_by_side,
)
from polyhead_server.heads import Head, HeadOutput, load_head
from polyhead_server.packing import ROW, ladder, ladder_of_rows, pack, pack_rows
from polyhead_server.security.signing import ensure_signed
from polyhead_server.self_check import check_batch
from polyhead_server.warming import Warming
from polyhead_server.words import WordSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from polyhead_server.bundle import Bundle
    from polyhead_server.encoding import Document, Source, Window
    from polyhead_server.engine import Engine, Hidden
    from polyhead_server.packing import Packed


@dataclass(frozen=True, slots=True)
class Job:
    """One window to encode, and what is wanted from it."""

    window: Window
    tasks: tuple[str, ...]
    """Heads to run on it at once; none where the document has more windows to come."""

    @property
    def tokens(self) -> int:
        """Tokens that the encoder will see: the job's cost."""
        return len(self.window.ids)


WindowOutput = dict[str, HeadOutput] | Features
"""Results by task of a one-window document, or the features of one of several windows."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came out of one encoder run."""

    outputs: list[WindowOutput]
    """In the order of the jobs."""
    tokens: int
    """Tokens of the jobs."""
    wasted_tokens: int
    """Tokens that only filled the batch up."""
    encode_seconds: float
    heads_seconds: float


class Model:
    """A bundle with its encoder compiled. ``encode`` and ``finish`` may be called from any thread.

    Args:
        bundle: the verified bundle.
        encoder: cuts documents into windows.
        engine: runs the encoder.
        heads: by task, in the bundle's order.
    """

    def __init__(
        self, bundle: Bundle, encoder: DocumentEncoder, engine: Engine, heads: dict[str, Head]
    ) -> None:
        self.bundle = bundle
        self._encoder = encoder
        self.engine = engine
        self._heads = heads
        self._with_largest = any(head.spec.pooling == "max" for head in heads.values())
        self._warming = Warming(engine, ())

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        threads: int,
        engine: str = OPENVINO,
        options: EngineOptions | None = None,
        key: Path | None = None,
    ) -> Model:
        """Load a bundle: verify it, build the tokenizer, compile the encoder, check the heads.

        Args:
            path: the bundle.
            threads: threads of the engine, 0 for what it takes for best.
            engine: name of the engine.
            options: what else the engine is told.
            key: public key that the bundle must be signed with; None asks for no signature.

        Raises:
            BundleError: the bundle is not signed with the key, or is damaged, incomplete, of
                another format or inconsistent.
            StartError: the engine is not installed, or cannot be on this machine.
        """
        bundle = open_bundle(path)
        if key is not None:
            ensure_signed(bundle, key)
        options = replace(options or EngineOptions(), threads=threads)
        spec = bundle.manifest.encoder
        try:
            heads = {head.name: load_head(path, head, spec.hidden_size) for head in bundle.heads}
            encoder = load_encoder(bundle)
            return cls(bundle, encoder, make_engine(engine, bundle, options), heads)
        except BundleError as error:
            raise BundleError(f"{path}: {error}") from None

    def tokenize(self, source: Source) -> Document:
        """Cut a document into words, sub-words and windows.

        Raises:
            NoWordsError: it has no visible word.
        """
        return self._encoder.encode(source)

    def jobs(self, document: Document, tasks: Iterable[str]) -> list[Job]:
        """The windows of a document, as work for ``run``."""
        wanted = tuple(tasks) if len(document.windows) == 1 else ()
        return [Job(window, wanted) for window in document.windows]

    def run(self, jobs: Sequence[Job]) -> Run:
        """Encode windows in one batch and run the heads.

        As many threads may do so at a time as the engine has streams.
        """
        return self.encode(jobs)()

    def encode(self, jobs: Sequence[Job]) -> Callable[[], Run]:
        """Encode windows in one batch, and give what runs the heads on them.

        That needs the engine no more, but must be called by the same thread before it encodes
        again. As many threads may encode at a time as the engine has streams.
        """
        start = time.perf_counter()
        offset = self.bundle.manifest.tokenizer.position_offset
        batch = pack_rows([job.window for job in jobs], offset)
        hidden = self.engine.infer(batch)
        seconds = time.perf_counter() - start
        return lambda: self._complete(jobs, batch, hidden, seconds)

    def _complete(
        self, jobs: Sequence[Job], batch: Packed, hidden: Hidden, encode_seconds: float
    ) -> Run:
        encoded = time.perf_counter()
        features = batch_features(
            hidden, batch.starts, [job.window for job in jobs], with_largest=self._with_largest
        )
        outputs = self._outputs(jobs, features)
        done = time.perf_counter()
        wasted = len(batch.ids) - batch.used
        return Run(outputs, batch.used, wasted, encode_seconds, done - encoded)

    def finish(
        self, document: Document, outputs: Sequence[WindowOutput], tasks: Iterable[str]
    ) -> dict[str, HeadOutput]:
        """Results of a document from the outputs of its windows, in order."""
        if len(document.windows) == 1 and isinstance(outputs[0], dict):
            return outputs[0]
        parts = [part for part in outputs if isinstance(part, Features)]
        whole = merge_features(parts)
        return {task: self._heads[task]([whole])[0] for task in tasks}

    def check_batch(self) -> Packed:
        """Fixed texts to check the engine by."""
        return check_batch(self._encoder, self.bundle.manifest.tokenizer.position_offset)

    def warm(
        self,
        most_tokens: int,
        progress: Callable[[int, int], None] | None = None,
        *,
        seconds: float = math.inf,
        together: int | None = None,
    ) -> int:
        """Run every batch length up to ``most_tokens`` once: a length's first run is slow.

        Each is checked as well: in other lengths other machine code runs.

        Args:
            most_tokens: the longest batch there will be.
            progress: is told of every length: how many are done, and how many there are.
            seconds: time to take; short lengths are first.
            together: tokens of the longest batch of several windows; by default ``most_tokens``.

        Returns:
            Lengths that are left, for ``warm_rest``.

        Raises:
            StartError: the engine computes one of them wrong.
        """
        word = self.tokenize("warm").windows[0]
        size = len(word.ids)
        batches = [pack([word] * (length // size)) for length in ladder(most_tokens)]
        if size <= ROW:
            lengths = ladder_of_rows(together or most_tokens)
            batches += [pack_rows([word] * (length // ROW * (ROW // size))) for length in lengths]
        batches.sort(key=lambda batch: len(batch.ids))
        self._warming = Warming(self.engine, batches)
        return self._warming.run(seconds, progress)

    def warm_rest(self) -> None:
        """Run the lengths that are left from a thread, between the batches of callers."""
        if self._warming.left:
            self._warming.run_rest()

    def close(self) -> None:
        """Give up the encoder's threads and memory."""
        self._warming.stop()
        self.engine.close()

    def _outputs(self, jobs: Sequence[Job], features: FeatureBatch) -> list[WindowOutput]:
        """Run each head once, on all the windows that want it."""
        tasks = jobs[0].tasks
        if tasks and all(job.tasks == tasks for job in jobs):  # as nearly always
            columns = [self._heads[task](features) for task in tasks]
            return [dict(zip(tasks, row, strict=True)) for row in zip(*columns, strict=True)]
        return self._outputs_of_some(jobs, features)

    def _outputs_of_some(self, jobs: Sequence[Job], features: FeatureBatch) -> list[WindowOutput]:
        """The same where they want different heads."""
        wanted: dict[str, list[int]] = defaultdict(list)
        for index, job in enumerate(jobs):
            for task in job.tasks:
                wanted[task].append(index)
        results: list[dict[str, HeadOutput]] = [{} for _ in jobs]
        for task, indices in wanted.items():
            for index, output in zip(
                indices, self._heads[task](_some(features, indices)), strict=True
            ):
                results[index][task] = output
        return [
            result if job.tasks else features.one(index)
            for index, (job, result) in enumerate(zip(jobs, results, strict=True))
        ]


def _some(features: FeatureBatch, indices: Sequence[int]) -> FeatureBatch:
    if len(indices) == len(features):
        return features
    return side_by_side([features.one(index) for index in indices])


def load_encoder(bundle: Bundle) -> DocumentEncoder:
    """Build a bundle's document encoder.

    Raises:
        BundleError: the tokenizer or the lexicon cannot be read.
    """
    spec = bundle.manifest.tokenizer
    try:
        tokenizer = Tokenizer.from_file(str(bundle.path / spec.file))
    except STOPS:
        raise
    except BaseException:  # noqa: BLE001 - the library raises Exception itself, and panics
        raise BundleError(f"{spec.file} is not a tokenizer") from None
    try:
        lexicon = json.loads((bundle.path / spec.words).read_text(encoding="utf-8"))
        splitter = WordSplitter(lexicon)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BundleError(f"{spec.words} is not a word lexicon") from None
    marks = (*spec.prefix, *spec.suffix, spec.unknown)
    if max(marks) >= tokenizer.get_vocab_size():
        raise BundleError(f"{spec.file} is not the tokenizer that the manifest describes")
    return DocumentEncoder(tokenizer, spec, splitter)
