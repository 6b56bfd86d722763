"""The raw engine, in a process of its own: the encoder's graph, fed with batches that are ready.

No server, no Python between batches but a loop. "Raw" is the best of several ways to lay streams
and threads out and of several batch sizes, sought for each kind of texts before the rounds begin.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import threading
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import openvino as ov

from polyhead_server.bundle import open_bundle
from polyhead_server.cpus import usable_cpus
from polyhead_server.openvino_engine import Inputs, run_batch, served_graph
from polyhead_server.packing import pack_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from polyhead_server.bundle import Bundle
    from polyhead_server.encoding import Window
    from polyhead_server.packing import Packed
    from tests.bench.texts import Corpus

BUDGETS = (64, 128, 192, 256)
"""Tokens to a batch."""
_FIRST_SECONDS = 0.05
"""The first run of a batch length is slow: this one does not count."""
_TRIAL_SECONDS = 0.15
_FINAL_SECONDS = 0.5
_FINALISTS = 3


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to use the processors."""

    streams: int
    """Inferences that run at a time."""
    threads: int
    """Of all streams together."""
    feeders: int
    """Threads that bring batches: more than streams keep the next batch waiting at the door."""

    def __str__(self) -> str:
        return f"{self.streams}x{self.threads // self.streams} threads, {self.feeders} feeding"


@dataclass(frozen=True, slots=True)
class Choice:
    """What was found to be the best for one kind of texts."""

    layout: Layout
    budget: int

    def __str__(self) -> str:
        return f"{self.layout}, batches of {self.budget} tokens"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A while of encoding."""

    seconds: float
    cpu: float
    texts: int
    tokens: int

    def figures(self) -> dict[str, float]:
        """Throughput and cost, by name."""
        return {
            "tokens_per_second": self.tokens / self.seconds,
            "texts_per_second": self.texts / self.seconds,
            "cpu_per_text": self.cpu / self.texts,
        }


class RawEngine:
    """The raw engine's process, seen from the bench."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def choose(self, kind: str) -> str:
        """Seek the best layout and batch size for a kind of texts; what it is, in words."""
        return str(self._ask("choose", kind))

    def press(self, kind: str, seconds: float) -> dict[str, float]:
        """Encode texts of a kind for a while, in the way that was chosen."""
        figures: dict[str, float] = self._ask("press", kind, seconds)
        return figures

    def one_by_one(self, kind: str, seconds: float) -> dict[str, float]:
        """Encode single texts of a kind, one behind the other: the median time of one."""
        figures: dict[str, float] = self._ask("one_by_one", kind, seconds)
        return figures

    def _ask(self, *command: object) -> Any:
        self._pipe.send(command)
        return self._pipe.recv()


@contextlib.contextmanager
def raw_engine(bundle: Path, corpora: Mapping[str, Corpus]) -> Iterator[RawEngine]:
    """Start the raw engine's process, and end it with the block."""
    windows = {
        kind: [document.windows[0] for document in corpus.documents]
        for kind, corpus in corpora.items()
    }
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_work, args=(theirs, bundle, windows), daemon=True)
    process.start()
    theirs.close()
    try:
        yield RawEngine(ours)
    finally:
        ours.close()
        process.join(10)
        process.kill()


def layouts(cpus: int) -> list[Layout]:
    """The ways that are tried on so many processors."""
    found = [Layout(1, cpus, 1), Layout(1, cpus, 2)]
    if cpus > 1:
        found += [Layout(cpus, cpus, cpus), Layout(cpus, cpus, cpus + 1)]
    return found


class _Encoder:
    """The graph compiled for each number of streams, and batches of all kinds and sizes."""

    def __init__(self, bundle: Bundle, windows: Mapping[str, Sequence[Window]]) -> None:
        self._offset = bundle.manifest.tokenizer.position_offset
        self._windows = windows
        self._layouts = layouts(usable_cpus())
        self._compiled = {one.streams: _compile(bundle, one) for one in self._layouts}
        self._choices: dict[str, Choice] = {}
        self._batches: dict[tuple[str, int], list[Packed]] = {}

    def choose(self, kind: str) -> str:
        """Try everything shortly, then the best few again."""
        choices = [Choice(one, budget) for one in self._layouts for budget in BUDGETS]
        for seconds in (_FIRST_SECONDS, _TRIAL_SECONDS, _FINAL_SECONDS):
            rates = {one: self._rate(kind, one, seconds) for one in choices}
            best = sorted(rates, key=lambda one: -rates[one])
            choices = choices if seconds == _FIRST_SECONDS else best[:_FINALISTS]
        self._choices[kind] = choices[0]
        return str(choices[0])

    def press(self, kind: str, seconds: float) -> dict[str, float]:
        return self._run(kind, self._choices[kind], seconds).figures()

    def one_by_one(self, kind: str, seconds: float) -> dict[str, float]:
        compiled = self._compiled[1]
        request, inputs = compiled.create_infer_request(), Inputs(compiled)
        batches = [pack_rows([window], self._offset) for window in self._windows[kind]]
        times: list[float] = []
        end = time.perf_counter() + seconds
        for batch in itertools.cycle(batches):
            begun = time.perf_counter()
            run_batch(request, inputs, batch)
            times.append(time.perf_counter() - begun)
            if begun > end:
                break
        return {"p50": median(times)}

    def _rate(self, kind: str, choice: Choice, seconds: float) -> float:
        stretch = self._run(kind, choice, seconds)
        return stretch.tokens / stretch.seconds

    def _run(self, kind: str, choice: Choice, seconds: float) -> Stretch:
        key = (kind, choice.budget)
        if key not in self._batches:
            self._batches[key] = filled(self._windows[kind], choice.budget, self._offset)
        supply = itertools.cycle(self._batches[key])
        counts: list[tuple[int, int]] = []
        compiled = self._compiled[choice.layout.streams]
        inputs = Inputs(compiled)
        start, cpu = time.perf_counter(), time.process_time()

        def feed() -> None:
            request = compiled.create_infer_request()
            texts = tokens = 0
            while time.perf_counter() - start < seconds:
                batch = next(supply)
                run_batch(request, inputs, batch)
                texts += len(batch.starts)
                tokens += batch.used
            counts.append((texts, tokens))

        feeders = [threading.Thread(target=feed) for _ in range(choice.layout.feeders)]
        for thread in feeders:
            thread.start()
        for thread in feeders:
            thread.join()
        texts, tokens = (sum(column) for column in zip(*counts, strict=True))
        spent, cpu = time.perf_counter() - start, time.process_time() - cpu
        return Stretch(spent, cpu, texts, tokens)


def filled(windows: Sequence[Window], budget: int, offset: int) -> list[Packed]:
    """Batches as full as they can be: the longest first, each where it fits."""
    bins: list[list[Window]] = []
    room: list[int] = []
    for window in sorted(windows, key=lambda one: -len(one.ids)):
        size = len(window.ids)
        place = next((at for at, left in enumerate(room) if left >= size), len(bins))
        if place == len(bins):
            bins.append([])
            room.append(budget)
        bins[place].append(window)
        room[place] -= size
    return [pack_rows(one, offset) for one in bins]


def _compile(bundle: Bundle, layout: Layout) -> Any:
    spec = bundle.manifest.encoder
    exact = {"INFERENCE_PRECISION_HINT": "f32"} if spec.precision == "fp32" else {}
    options = {
        **exact,
        "NUM_STREAMS": layout.streams,
        "INFERENCE_NUM_THREADS": layout.threads,
        "ENABLE_CPU_PINNING": False,
    }
    core = ov.Core()
    model = core.read_model(bundle.path / spec.file)
    graph = served_graph(model, int8=spec.precision != "fp32")
    return core.compile_model(graph, "CPU", options)


def _work(pipe: Connection, path: Path, windows: Mapping[str, Sequence[Window]]) -> None:
    encoder = _Encoder(open_bundle(path), windows)
    with contextlib.suppress(EOFError):
        while True:
            name, *arguments = pipe.recv()
            pipe.send(getattr(encoder, name)(*arguments))
