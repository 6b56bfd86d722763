"""A real OTLP collector over gRPC, which keeps what it is sent."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc

PATIENCE = 20.0


class Collector(pb_grpc.TraceServiceServicer):
    """Takes spans until closed."""

    def __init__(self) -> None:
        self._received = threading.Condition()
        self._spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        pb_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Export(self, request, context):  # noqa: N802 - the protocol's name
        with self._received:
            for resource in request.resource_spans:
                self.resources.append(values(resource.resource.attributes))
                for scope in resource.scope_spans:
                    self._spans += scope.spans
            self._received.notify_all()
        return pb.ExportTraceServiceResponse()

    def spans(self, count: int) -> list[Any]:
        """All spans, once there are so many."""
        with self._received:
            assert self._received.wait_for(lambda: len(self._spans) >= count, PATIENCE)
            return list(self._spans)

    def close(self) -> None:
        self._server.stop(None).wait()


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as plain values."""
    found = {}
    for attribute in attributes:
        value = attribute.value
        found[attribute.key] = getattr(value, value.WhichOneof("value"))
    return found
