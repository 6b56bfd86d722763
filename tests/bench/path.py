"""What the path around the engine costs: processor time a text, stage by stage.

Run as `python -m tests.bench.path`. Stages are measured in one process, each by itself, by the
processor time of the thread; the engine by that of the process. A machine that does other work at
the same time makes figures a little worse, not wrong: the least over the rounds is quoted.

- read: request from bytes; text: checks and tokenising; engine: the encoder alone;
- heads: packing, features, heads and what is done for each document behind them;
- answer: the response and its bytes;
- call: what is left of a call without gRPC (identity, metrics, queue, event loop, threads).
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from threadpoolctl import threadpool_limits

from polyhead.v1.annotation_service_pb2 import AnnotateRequest
from polyhead_server import convert
from polyhead_server.annotator import Annotated, Annotation, Annotator
from polyhead_server.batcher import Batcher
from polyhead_server.calls import Calls
from polyhead_server.checks import DOCUMENTS, Limits
from polyhead_server.metrics import Metrics
from polyhead_server.model import Model
from polyhead_server.offsets import Unit
from polyhead_server.reading import Reader
from polyhead_server.received import Decoder
from polyhead_server.rollout.cores import Cores, SharedEngine
from polyhead_server.rollout.figures import BundleFigures
from polyhead_server.rollout.roster import Roster
from polyhead_server.rollout.served import Served
from polyhead_server.service import SERVICE, AnnotationService
from polyhead_server.settings import DEFAULT_BUNDLE
from polyhead_server.timings import Timings
from tests.bench.calls import annotate_body
from tests.bench.texts import Corpus, exact, news

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyhead_server.engine import Hidden
    from polyhead_server.packing import Packed

BATCH_TOKENS = 256
IN_FLIGHT = {1: 32, 32: 4}
STAGES = ("read", "text", "engine", "heads", "answer", "call")
LIMITS = Limits(max_documents=1024, max_text_chars=1 << 20, max_request_chars=1 << 22)

T = TypeVar("T")
Costs = dict[str, float]


class TimedEngine:
    """An engine that adds up the processor time spent in it."""

    def __init__(self, model: Model) -> None:
        self._engine = model.engine
        self.streams = model.engine.streams
        self.facts = model.engine.facts
        self.seconds = 0.0
        model.engine = self  # type: ignore[assignment]

    def infer(self, batch: Packed) -> Hidden:
        """Run the encoder."""
        start = time.thread_time()
        hidden = self._engine.infer(batch)
        self.seconds += time.thread_time() - start
        return hidden

    def plain(self, batch: Packed) -> Hidden | None:
        """Run the encoder in full precision."""
        return self._engine.plain(batch)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


class Asked(NamedTuple):
    """The method that is asked for, as grpc tells it."""

    method: str
    invocation_metadata: tuple[()]


class MemoryContext:
    """The wire of a call that comes from nowhere."""

    def __init__(self) -> None:
        self._behind: list[Callable[[MemoryContext], object]] = []

    def peer(self) -> str:
        """Nobody's address."""
        return ""

    def add_done_callback(self, callback: Callable[[MemoryContext], object]) -> None:
        """Keep what is to be told of the call's end."""
        self._behind.append(callback)

    def end(self) -> None:
        """Tell of it."""
        for callback in self._behind:
            callback(self)

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """What grpc clients send."""
        return (("user-agent", "grpc-python-asyncio/1.76.0"),)

    async def send_initial_metadata(self, _: Any) -> None:
        """Take it."""

    def set_trailing_metadata(self, _: Any) -> None:
        """Take it."""

    def time_remaining(self) -> float:
        """Ten seconds."""
        return 10.0

    def cancelled(self) -> bool:
        """Nobody gives up."""
        return False


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.path", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--news", type=Path, help="JSONL.gz with news texts (default: made up)")
    parser.add_argument("--texts", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    threadpool_limits(1, user_api="blas")
    model = Model.load(options.bundle, threads=1)
    model.warm(BATCH_TOKENS)
    engine = TimedEngine(model)
    corpora = [exact(model.tokenize, tokens, options.texts) for tokens in (16, 64)]
    corpora.append(news(model.tokenize, options.texts, options.news))
    print(f"{'texts':>14} {'a call':>6}" + "".join(f"{stage:>8}" for stage in (*STAGES, "sum")))
    for corpus in corpora:
        for size in IN_FLIGHT:
            rounds = [_costs(model, engine, corpus, size) for _ in range(options.rounds)]
            least = [1e6 * min(costs[stage] for costs in rounds) for stage in STAGES]
            figures = "".join(f"{value:>8.1f}" for value in (*least, sum(least)))
            print(f"{corpus.name:>14} {size:>6}{figures}", flush=True)
    model.close()


def _costs(model: Model, engine: TimedEngine, corpus: Corpus, size: int) -> Costs:
    """Seconds a text by stage."""
    calls = _calls(corpus.texts, size)
    costs: Costs = defaultdict(float)
    decode = Decoder(AnnotateRequest)
    received, costs["read"] = _timed(lambda: [_read(decode, call) for call in calls])
    found, costs["text"] = _timed(lambda: [_text(model, sources) for sources in received])
    _encode(model, engine, corpus, costs)
    whole = asyncio.run(_whole(model, engine, calls, IN_FLIGHT[size]))
    answers = _answers(model, found)
    _, costs["answer"] = _timed(
        lambda: [convert.annotate_response(a, Unit.CODE_POINT).SerializeToString() for a in answers]
    )
    texts = len(corpus.texts)
    for stage in ("read", "text", "answer"):
        costs[stage] /= texts
    costs["call"] = whole / texts - sum(costs[s] for s in ("read", "text", "heads", "answer"))
    return costs


def _calls(texts: Sequence[str], size: int) -> list[bytes]:
    return [annotate_body(texts[at : at + size], ["*"]) for at in range(0, len(texts), size)]


def _timed(function: Callable[[], T]) -> tuple[T, float]:
    start = time.thread_time()
    return function(), time.thread_time() - start


def _read(decode: Decoder[AnnotateRequest], call: bytes) -> list[Any]:
    return [convert.source_of(document) for document in decode(call).sound().documents]


def _text(model: Model, sources: Sequence[Any]) -> list[Any]:
    reader = Reader(model.tokenize, model.bundle.heads, LIMITS)
    return reader.tokenize(reader.check(sources, ["*"], DOCUMENTS).sources, DOCUMENTS)


def _encode(model: Model, engine: TimedEngine, corpus: Corpus, costs: Costs) -> None:
    """Cost of engine and heads in full batches, as a busy server runs them."""
    tasks = [head.name for head in model.bundle.heads]
    batches: list[list[Any]] = [[]]
    for document in corpus.documents:
        jobs = model.jobs(document, tasks)
        if sum(job.tokens for job in (*batches[-1], *jobs)) > BATCH_TOKENS:
            batches.append([])
        batches[-1] += jobs
    engine.seconds = 0.0
    start = time.thread_time()
    for batch in batches:
        model.run(batch)
    spent = time.thread_time() - start
    costs["engine"] = engine.seconds / len(corpus.texts)
    costs["heads"] = (spent - engine.seconds) / len(corpus.texts)


def _answers(model: Model, found: Sequence[Sequence[Any]]) -> list[Annotated]:
    tasks = [head.name for head in model.bundle.heads]
    answers = []
    for documents in found:
        outcomes = []
        for document in documents:
            jobs = model.jobs(document, tasks)
            outputs = model.run(jobs).outputs
            outcomes.append(Annotation(document, model.finish(document, outputs, tasks)))
        answers.append(Annotated(tuple(outcomes), model.bundle.heads, "1", Timings(1, 1, 1, 1), 1))
    return answers


async def _whole(
    model: Model, engine: TimedEngine, calls: Sequence[bytes], in_flight: int
) -> float:
    """Processor time of all calls without the engine's."""
    metrics = Metrics()
    async with Batcher(model.encode, observer=metrics) as batcher:
        annotator = Annotator(model, batcher, limits=LIMITS, metrics=metrics)
        served = Served(model, SharedEngine(engine, Cores(1)), batcher, annotator, annotator)
        roster = Roster(served, LIMITS, metrics, BundleFigures(metrics.registry))
        service = AnnotationService(roster, Calls(metrics), stream_items=1024)
        method: Any = service.handlers().service(Asked(f"/{SERVICE}/Annotate", ()))
        supply = iter(calls)

        async def caller() -> None:
            for call in supply:
                context = MemoryContext()
                await method.unary_unary(method.request_deserializer(call), context)
                context.end()

        engine.seconds = 0.0
        start = time.process_time()
        await asyncio.gather(*(caller() for _ in range(in_flight)))
        spent = time.process_time() - start - engine.seconds
        annotator.close()
    return spent


if __name__ == "__main__":
    main()
