"""The calls that are made, prepared from texts: gRPC, streams, JSON, echo."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from polyhead.v1.annotation_service_pb2 import (
    AnnotateRequest,
    AnnotateStreamRequest,
    StreamItem,
)
from polyhead.v1.document_pb2 import Document
from tests.bench.echo import PREFIX
from tests.bench.streaming import StreamConnection
from tests.bench.wire import (
    Connection,
    Request,
    grpc_headers,
    json_headers,
    message,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.bench.texts import Corpus

_SERVICE = "/polyhead.v1.AnnotationService/"
ANNOTATE = _SERVICE + "Annotate"
_STREAM = _SERVICE + "AnnotateStream"
_JSON_PATH = "/v1/annotate"


@dataclass(frozen=True, slots=True)
class Form:
    """A way to bring texts to the server, with enough under way to keep it busy."""

    name: str
    size: int
    """Texts in a call, or in a message of a stream."""
    in_flight: int
    """Calls, or messages, under way."""
    connections: int
    stream: bool = False

    @property
    def connection(self) -> type[Connection]:
        """The kind of connection that it takes."""
        return StreamConnection if self.stream else Connection


ONE = Form("one", 1, 1, 1)
"""One call at a time: nothing to wait behind."""
SINGLE = Form("single", 1, 64, 8)
EIGHT = Form("batch8", 8, 8, 8)
BATCH = Form("batch32", 32, 4, 4)
STREAM = Form("stream", 32, 4, 1, stream=True)
FORMS = (SINGLE, EIGHT, BATCH, STREAM)


def requests(
    corpus: Corpus, form: Form, tasks: Sequence[str], address: str, timeout: float | None = None
) -> list[Request]:
    """Requests of one form for all texts of a corpus.

    Args:
        corpus: the texts.
        form: how many texts a call has, and whether it is a stream.
        tasks: names of the tasks.
        address: host and port that they are for.
        timeout: deadline of each call, seconds; none where not given.
    """
    headers = grpc_headers(_STREAM if form.stream else ANNOTATE, address, timeout)
    encode = _stream_body if form.stream else annotate_body
    return [
        Request(headers, message(encode(texts, tasks)), len(texts), tokens)
        for texts, tokens in groups(corpus, form.size)
    ]


def json_requests(corpus: Corpus, form: Form, tasks: Sequence[str], address: str) -> list[Request]:
    """The same as JSON, for the gateway."""
    found = []
    for texts, tokens in groups(corpus, form.size):
        content = {"documents": [{"text": text} for text in texts], "tasks": list(tasks)}
        body = json.dumps(content, separators=(",", ":")).encode()
        headers = json_headers(_JSON_PATH, address, len(body))
        found.append(Request(headers, body, len(texts), tokens))
    return found


def echo_requests(like: Sequence[Request], answer: int, address: str) -> list[Request]:
    """Calls of the same size that are answered with so many bytes, the frame of 5 among them."""
    headers = grpc_headers(f"{PREFIX}{max(0, answer - len(message(b'')))}", address)
    return [Request(headers, one.body, one.texts, one.tokens) for one in like]


def groups(corpus: Corpus, size: int) -> Iterator[tuple[Sequence[str], int]]:
    """Texts, so many at a time, each time with their tokens; what does not fill a group is left."""
    tokens = corpus.tokens
    for at in range(0, len(corpus.texts) - size + 1, size):
        yield corpus.texts[at : at + size], sum(tokens[at : at + size])


def annotate_body(texts: Sequence[str], tasks: Sequence[str]) -> bytes:
    """A request of the API."""
    documents = [Document(text=text) for text in texts]
    return AnnotateRequest(documents=documents, tasks=tasks).SerializeToString()


def _stream_body(texts: Sequence[str], tasks: Sequence[str]) -> bytes:
    items = [
        StreamItem(id=str(number), document=Document(text=text))
        for number, text in enumerate(texts)
    ]
    return AnnotateStreamRequest(items=items, tasks=tasks).SerializeToString()
