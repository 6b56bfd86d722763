"""Who is measured: how each is started, what it is asked, and how its answer is read."""

from __future__ import annotations

import json
import sys
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from polyhead.v1 import annotation_service_pb2 as wire
from polyhead_server.inference import open_inference_pb2 as open_inference
from tests.bench.calls import ANNOTATE, annotate_body
from tests.bench.peers.wire import Pool, post_headers
from tests.bench.wire import Connection, Request, grpc_headers, message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.peers.load import Line

ENVIRONMENTS = Path("build/peers")
APPS = Path(__file__).parent / "apps"
CLIENT = Path(__file__).parents[3] / "clients" / "python"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
GRPC_CONNECTIONS = 4
TIMEOUT = 30.0

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contender:
    """A server under measurement; this one is ours, by gRPC."""

    name: str
    title: str
    target: float = 0.0
    """Our throughput over its, that is wanted at least."""
    patience: float = 180.0
    """Seconds until it must answer."""
    thinned: int = 1
    """By how much fewer calls are under way: for one that answers one by one, and slowly."""
    settings: dict[str, str] = field(default_factory=dict)
    """Its environment variables."""
    packages: tuple[str, ...] = ()
    """Whose versions are told."""

    def command(self, port: int) -> list[str]:
        """What starts it."""
        flags = [f"--port={port}", "--metrics-port=0"]
        return [sys.executable, "-m", "polyhead_server", "serve", *flags]

    def lines(self, address: str) -> list[Line]:
        """Connections to it."""
        return [Connection(address) for _ in range(GRPC_CONNECTIONS)]

    def request(self, texts: Sequence[str], tokens: int, address: str) -> Request:
        """One prepared call."""
        body = message(annotate_body(texts, ["*"]))
        return Request(grpc_headers(ANNOTATE, address), body, len(texts), tokens)

    def ask(self, texts: Sequence[str], address: str) -> list[Answer]:
        """Labels by task, for a check: words with their tags under "pos"."""
        reply = wire.AnnotateResponse.FromString(
            _call(address, ANNOTATE, annotate_body(texts, ["*"]))
        )
        return [_of_proto(annotation) for annotation in reply.annotations]

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return Path(sys.executable)


@dataclass(frozen=True, slots=True)
class Peer(Contender):
    """A peer in an environment of its own, asked by HTTP with JSON."""

    app: str = ""
    environment: str = ""
    """Folder of its virtual environment; its name where not given."""

    def command(self, port: int) -> list[str]:
        """What starts it."""
        return [str(self.python), "-W", "ignore", str(APPS / self.app)]

    def lines(self, address: str) -> list[Line]:
        """Connections to it."""
        return [Pool(address)]

    def request(self, texts: Sequence[str], tokens: int, address: str) -> Request:
        """One prepared call."""
        body = json.dumps({"texts": texts}).encode()
        return Request(post_headers("/annotate", len(body)), body, len(texts), tokens)

    def ask(self, texts: Sequence[str], address: str) -> list[Answer]:
        """Labels by task, for a check."""
        request = urllib.request.Request(
            f"http://{address}/annotate",
            json.dumps({"texts": texts}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:  # noqa: S310 - our own peer
            return [_of_json(found) for found in json.load(reply)]

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return (ENVIRONMENTS / (self.environment or self.name) / "bin" / "python").absolute()


@dataclass(frozen=True, slots=True)
class OpenInferencePeer(Peer):
    """A peer asked by the Open Inference Protocol over gRPC."""

    lines = Contender.lines

    def request(self, texts: Sequence[str], tokens: int, address: str) -> Request:
        """One prepared call."""
        body = message(_infer(texts).SerializeToString())
        return Request(grpc_headers(MODEL_INFER, address), body, len(texts), tokens)

    def ask(self, texts: Sequence[str], address: str) -> list[Answer]:
        """Labels by task, for a check."""
        reply = open_inference.ModelInferResponse.FromString(
            _call(address, MODEL_INFER, _infer(texts).SerializeToString())
        )
        found = reply.outputs[0].contents.bytes_contents
        return [_of_json(json.loads(one)) for one in found]


@dataclass(frozen=True, slots=True)
class ProtoPeer(Peer):
    """A peer that answers our own proto."""

    lines = Contender.lines
    request = Contender.request
    ask = Contender.ask


OURS = Contender("ours", "polyhead")
PEERS: tuple[Peer, ...] = (
    Peer(
        "pipelines-plain",
        "four pipelines, plain",
        target=20.0,
        thinned=16,
        settings={"POLYHEAD_PEER_MODE": "float32", "POLYHEAD_PEER_BATCH": "1"},
        packages=("transformers", "torch", "fastapi", "uvicorn"),
        environment="pipelines",
        app="pipelines_app.py",
    ),
    Peer(
        "pipelines",
        "four pipelines, tuned",
        target=20.0,
        settings={"POLYHEAD_PEER_MODE": "int8"},
        packages=("transformers", "torch", "fastapi", "uvicorn"),
        app="pipelines_app.py",
    ),
    Peer(
        "litserve",
        "LitServe",
        target=5.0,
        settings={"POLYHEAD_PEER_MODE": "int8"},
        packages=("litserve", "torch", "fastapi", "uvicorn"),
        app="litserve_app.py",
    ),
    OpenInferencePeer(
        "mlserver",
        "MLServer",
        target=5.0,
        settings={"POLYHEAD_PEER_MODE": "int8"},
        packages=("mlserver", "torch", "grpcio"),
        app="mlserver_runtime.py",
    ),
    ProtoPeer(
        "ray",
        "Ray Serve, gRPC",
        target=5.0,
        patience=240.0,
        settings={
            "POLYHEAD_PEER_MODE": "int8",
            "PYTHONPATH": f"{APPS}:{CLIENT}",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_AUTH_MODE": "disabled",
            "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
            "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
            "RAY_USAGE_STATS_ENABLED": "0",
        },
        packages=("ray", "torch", "grpcio"),
        app="ray_app.py",
    ),
)


def _infer(texts: Sequence[str]) -> open_inference.ModelInferRequest:
    request = open_inference.ModelInferRequest(model_name="multitask")
    tensor = request.inputs.add(name="texts", datatype="BYTES", shape=[len(texts), 1])
    tensor.contents.bytes_contents.extend(text.encode() for text in texts)
    return request


def _call(address: str, method: str, body: bytes) -> bytes:
    with grpc.insecure_channel(address) as channel:
        found: bytes = channel.unary_unary(method)(body, timeout=TIMEOUT)
        return found


def _of_proto(annotation: Any) -> Answer:
    found: Answer = {}
    for result in annotation.results:
        kind = result.WhichOneof("result")
        if kind == "classification":
            found[result.task] = result.classification.label
        elif kind == "tagging":
            found[result.task] = [(word.text, word.tag) for word in result.tagging.words]
        else:
            found[result.task] = [(span.text, span.label) for span in result.spans.spans]
    return found


def _of_json(found: dict[str, Any]) -> Answer:
    return {
        name: value["label"] if isinstance(value, dict) else _pairs(value)
        for name, value in found.items()
    }


def _pairs(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Words (or spans) with their labels; sub-words that go on a word are left out."""
    return [
        (one["word"], one.get("label") or one.get("entity_group") or one["entity"])
        for one in entries
        if not one["word"].startswith("##")
    ]
