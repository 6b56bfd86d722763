"""Ray Serve's gRPC ingress with `@serve.batch`, serving the multi-task torch model.

It answers the same proto as the server that it is compared with, so that one client serves both.
Calls go straight to the replica's port (direct ingress, which RAY_SERVE_THROUGHPUT_OPTIMIZED turns
on): what a HAProxy before it would do, without its hop.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import ray
from multitask import Annotation, MultiTask, threads
from ray import serve
from ray.serve.config import gRPCOptions

from polyhead.v1 import annotation_service_pb2 as wire
from polyhead.v1 import result_pb2 as results

BATCH = 64
WAIT = 0.002
IN_FLIGHT = 512
SERVICER = "polyhead.v1.annotation_service_pb2_grpc.add_AnnotationServiceServicer_to_server"


@serve.deployment(
    num_replicas=1,
    max_ongoing_requests=IN_FLIGHT,
    ray_actor_options={"num_cpus": 1},
)
class Annotator:
    """One replica with all cores for torch."""

    def __init__(self) -> None:
        self._model = MultiTask()

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT)
    async def _together(self, requests: list[list[str]]) -> list[list[Annotation]]:
        texts = [text for texts in requests for text in texts]
        found = iter(await asyncio.to_thread(self._model.annotate, texts))
        return [[next(found) for _ in texts] for texts in requests]

    async def Annotate(self, request: wire.AnnotateRequest) -> wire.AnnotateResponse:  # noqa: N802
        """The method of the proto."""
        found = await self._together([document.text for document in request.documents])
        return wire.AnnotateResponse(annotations=[_message(one) for one in found])


def _message(annotation: Annotation) -> results.DocumentAnnotation:
    return results.DocumentAnnotation(
        results=[_result(name, value) for name, value in annotation.items()], windows=1
    )


def _result(name: str, value: Any) -> results.TaskResult:
    if isinstance(value, dict):
        return results.TaskResult(task=name, classification=results.Classification(**value))
    if name == "pos":
        words = [
            results.TaggedWord(
                text=v["word"], start=v["start"], end=v["end"], tag=v["label"], score=v["score"]
            )
            for v in value
        ]
        return results.TaskResult(task=name, tagging=results.Tagging(words=words))
    spans = [
        results.Span(
            text=v["word"], start=v["start"], end=v["end"], label=v["label"], score=v["score"]
        )
        for v in value
    ]
    return results.TaskResult(task=name, spans=results.SpanList(spans=spans))


def main() -> None:
    """Serve until told to end."""
    ray.init(
        address="local",
        num_cpus=max(2, threads()),
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=100 * 2**20,
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(os.environ["POLYHEAD_PEER_SECOND_PORT"])},
        grpc_options=gRPCOptions(
            port=int(os.environ["POLYHEAD_PEER_THIRD_PORT"]), grpc_servicer_functions=[SERVICER]
        ),
    )
    serve.run(Annotator.bind())
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    ray.shutdown()


if __name__ == "__main__":
    main()
