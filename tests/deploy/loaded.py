"""Servers under load: one in this process, whose engine can be tampered with, and workers."""

from __future__ import annotations

import contextlib
import random
import threading
from typing import TYPE_CHECKING

import grpc
from background_server import PATIENCE, primary

from polyhead.v1 import annotation_service_pb2 as pb
from polyhead.v1 import document_pb2 as doc
from polyhead.v1.annotation_service_pb2_grpc import AnnotationServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from background_server import BackgroundServer

    from polyhead_server.engine import Hidden
    from polyhead_server.packing import Packed

WORDS = "the fans in the word"
OTHER_WORDS = "9 9 9 9 9 . . . . ."


class Load:
    """Calls a server from a few threads until closed; what fails, fails.

    Attributes:
        text: what is sent; set anew, it is sent from then on.
    """

    def __init__(self, address: str, threads: int = 2) -> None:
        self.text = WORDS
        self._over = threading.Event()
        self._channel = grpc.insecure_channel(address)
        self._stub = AnnotationServiceStub(self._channel)
        self._threads = [threading.Thread(target=self._call) for _ in range(threads)]
        self._threads.append(threading.Thread(target=self._stream))
        for thread in self._threads:
            thread.start()

    def _call(self) -> None:
        while not self._over.wait(0.05):
            with contextlib.suppress(grpc.RpcError):
                self._stub.Annotate(self._request(), timeout=PATIENCE)

    def _stream(self) -> None:
        while not self._over.wait(0.1):
            with contextlib.suppress(grpc.RpcError):
                messages = (self._message() for _ in range(5))
                for _ in self._stub.AnnotateStream(messages, timeout=PATIENCE):
                    pass

    def _request(self) -> pb.AnnotateRequest:
        same = doc.Document(text=self.text)
        other = doc.Document(text=f"{self.text} {random.getrandbits(30)}")
        return pb.AnnotateRequest(documents=[same, other] * 2, tasks=["*"])

    def _message(self) -> pb.AnnotateStreamRequest:
        documents = self._request().documents
        items = [pb.StreamItem(id="-", document=document) for document in documents]
        return pb.AnnotateStreamRequest(items=items, tasks=["*"])

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        self._channel.close()


class Tampered:
    """Has a server's engine do something else before each run, until the `with` ends."""

    def __init__(self, server: BackgroundServer, deed: Callable[[], object]) -> None:
        self._engine = primary(server.server).model.engine
        self._deed = deed

    def __enter__(self) -> None:
        infer = self._engine.infer

        def tampered(batch: Packed) -> Hidden:
            self._deed()
            return infer(batch)

        self._engine.infer = tampered

    def __exit__(self, *_: object) -> None:
        del self._engine.infer


@contextlib.contextmanager
def stopped(server: BackgroundServer) -> Iterator[None]:
    """Let the engine stand still for a while."""
    gate = threading.Event()
    with Tampered(server, lambda: gate.wait(PATIENCE)):
        try:
            yield
        finally:
            gate.set()
