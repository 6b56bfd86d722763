"""Four pipelines behind FastAPI: requests gather while the one working thread is busy.

The pattern is that of transformers' page on web servers, with its optional dynamic batching: the
event loop queues, one thread works, and whatever has come meanwhile goes through together. With a
batch size of 1 each request goes through by itself, text by text, as with pipelines' defaults.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson
import torch
import uvicorn
from fastapi import FastAPI, Request, Response
from multitask import mode, threads, weights
from transformers import pipeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BATCH = int(os.environ.get("POLYHEAD_PEER_BATCH", "16"))
"""The pipelines' batch_size."""
MOST = 64 if BATCH > 1 else 1
"""Texts of several requests that go through together at most; one request's texts always do."""
TASKS = {
    "sentiment": ("text-classification", {}),
    "topic": ("text-classification", {}),
    "pos": ("token-classification", {}),
    "entities": ("token-classification", {"aggregation_strategy": "first"}),
}
_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "int8": torch.float32}


class Pipelines:
    """One pipeline for each task, each with a model of its own."""

    def __init__(self) -> None:
        torch.set_num_threads(threads())
        self._pipelines = {
            name: pipeline(kind, model=str(weights() / name), dtype=_DTYPES[mode()], **options)
            for name, (kind, options) in TASKS.items()
        }
        for one in self._pipelines.values() if mode() == "int8" else ():
            one.model = torch.ao.quantization.quantize_dynamic(one.model, {torch.nn.Linear})
        self.annotate(["to be ready"])

    def annotate(self, texts: list[str]) -> list[dict[str, Any]]:
        """What each pipeline says about each text; the longest first, so that little is padded."""
        order = sorted(range(len(texts)), key=lambda at: -len(texts[at]))
        ordered = [texts[at] for at in order]
        answers = {name: one(ordered, batch_size=BATCH) for name, one in self._pipelines.items()}
        found: list[dict[str, Any]] = [{}] * len(texts)
        for rank, at in enumerate(order):
            found[at] = {name: answer[rank] for name, answer in answers.items()}
        return found


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run the one worker beside the server."""
    app.state.queue = asyncio.Queue()
    pipelines = Pipelines()
    with ThreadPoolExecutor(1) as thread:
        worker = asyncio.create_task(_work(app.state.queue, pipelines, thread))
        yield
        worker.cancel()


async def _work(
    queue: asyncio.Queue[tuple[list[str], asyncio.Future[bytes]]],
    pipelines: Pipelines,
    thread: ThreadPoolExecutor,
) -> None:
    while True:
        waiting = [await queue.get()]
        count = len(waiting[0][0])
        while not queue.empty() and count < MOST:
            waiting.append(queue.get_nowait())
            count += len(waiting[-1][0])
        await asyncio.get_running_loop().run_in_executor(thread, _answer, pipelines, waiting)


def _answer(pipelines: Pipelines, waiting: list[tuple[list[str], asyncio.Future[bytes]]]) -> None:
    found = iter(pipelines.annotate([text for texts, _ in waiting for text in texts]))
    for texts, future in waiting:
        body = orjson.dumps([next(found) for _ in texts], option=orjson.OPT_SERIALIZE_NUMPY)
        future.get_loop().call_soon_threadsafe(future.set_result, body)


app = FastAPI(lifespan=lifespan)


@app.post("/annotate")
async def annotate(request: Request) -> Response:
    """Texts in, all tasks' answers out."""
    future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    texts = orjson.loads(await request.body())["texts"]
    await request.app.state.queue.put((texts, future))
    return Response(await future, media_type="application/json")


if __name__ == "__main__":
    port = int(os.environ["POLYHEAD_PEER_PORT"])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
