"""The OpenAPI document: paths from HTTP rules, text from comments, schemas from messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.api import annotations_pb2

from tools.describe import comments
from tools.describe.comments import Comments, first_sentence
from tools.describe.examples import EXAMPLES
from tools.describe.schemas import Schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor_pb2 import (
        FileDescriptorProto,
        FileDescriptorSet,
        MethodDescriptorProto,
    )

Json = dict[str, Any]

_PACKAGE = "polyhead.v1"
_STATUS = ".google.rpc.Status"

_INTRODUCTION = """\
polyhead over HTTP/JSON. The same service answers gRPC and gRPC-Web on the same address.

Names of fields are in lowerCamelCase; snake_case is understood, too. Unknown fields of a request \
are passed over, so that newer clients can talk to older servers; unknown query parameters are \
refused. Answers hold every plain field, zero or not. The header grpc-timeout, such as 500m for \
half a second, bounds the time of a call.

Errors are google.rpc.Status with details: BadRequest names the fields at fault, RetryInfo says \
when to come again, RequestInfo has the request id. What the gateway itself refuses has \
RequestInfo only.

The Open Inference Protocol, where it is served, is under /v2; its specification describes it."""

_ERRORS = {
    "400": "The request is not valid JSON for its message, or breaks the contract: BadRequest "
    "names the fields.",
    "401": "An API key or a token is needed, or the one given is not valid.",
    "403": "The token is not for this audience.",
    "404": "The bundle version asked for is not loaded; the message names those that are.",
    "413": "The body is larger than the gateway allows.",
    "429": "Too many calls: of this client at the gateway, or of all at the server, whose queue is "
    "full.",
    "500": "A fault of the server, which its log tells by the request id.",
    "503": "No server takes work at present. Try again.",
    "504": "The call took longer than it may.",
}
_RETRYABLE = {"429"}

_REQUEST_ID: Json = {
    "name": "x-request-id",
    "in": "header",
    "description": "The caller's name for the request, at most 128 visible ASCII characters; one "
    "is made otherwise. It comes back with the answer, and is in the logs of gateway and server.",
    "schema": {"type": "string"},
}
_SENT_ID: Json = {
    "description": "The request's name, given or made.",
    "schema": {"type": "string"},
}
_RETRY_AFTER: Json = {
    "description": "Seconds after which the client may call again, where the gateway knows.",
    "schema": {"type": "string"},
}
_SECURITY: Json = {
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "Where the gateway has a file of keys.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A JSON Web Token where the gateway has keys for them, or a token of the "
        "server's.",
    },
}


def openapi(files: FileDescriptorSet) -> Json:
    """The document of every method with an HTTP rule.

    Args:
        files: the protos, with comments.
    """
    schemas = Schemas(files)
    paths: Json = {}
    tags = []
    for file in files.file:
        if file.package == _PACKAGE:
            for tag, path, verb, operation in _operations(file, schemas):
                paths.setdefault(path, {})[verb] = operation
                tags += [] if tag in tags else [tag]
    status = schemas.reference(_STATUS, sent=True)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "polyhead",
            "version": "v1",
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "security": [{}, *({name: []} for name in _SECURITY)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.made.items())),
            "responses": {code: _error(code, text, status) for code, text in _ERRORS.items()},
            "securitySchemes": _SECURITY,
        },
    }


def _operations(
    file: FileDescriptorProto, schemas: Schemas
) -> Iterator[tuple[Json, str, str, Json]]:
    said = Comments(file)
    for index, service in enumerate(file.service):
        tag = {"name": service.name, "description": said.at(comments.SERVICE, index)}
        for number, method in enumerate(service.method):
            rule = method.options.Extensions[annotations_pb2.http]
            verb = rule.WhichOneof("pattern")
            if verb is None:
                continue
            text = said.at(comments.SERVICE, index, comments.METHOD, number)
            operation = _operation(method, text, schemas, has_body=bool(rule.body))
            yield tag, getattr(rule, verb), verb, {"tags": [service.name], **operation}


def _operation(
    method: MethodDescriptorProto, text: str, schemas: Schemas, *, has_body: bool
) -> Json:
    operation: Json = {
        "operationId": method.name,
        "summary": first_sentence(text),
        "description": text + _stream_text(method),
        "parameters": [_REQUEST_ID],
    }
    if has_body:
        asked = schemas.reference(method.input_type, sent=False)
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": _content(asked, method.name, method.client_streaming)},
        }
    else:
        operation["parameters"] += schemas.query_parameters(method.input_type)
    given = schemas.reference(method.output_type, sent=True)
    operation["responses"] = {
        "200": {
            "description": "The answer.",
            "headers": {"x-request-id": _SENT_ID},
            "content": {"application/json": _content(given, None, method.server_streaming)},
        },
        **{code: {"$ref": f"#/components/responses/{code}"} for code in _ERRORS},
    }
    return operation


def _stream_text(method: MethodDescriptorProto) -> str:
    if not method.client_streaming:
        return ""
    return (
        "\n\nOver HTTP/JSON the request is an array of request messages, read to its end first, "
        "and the answer an array of response messages that grows as work is done. An error that "
        "ends the stream is the status where nothing was answered before; else it is the array's "
        "last element, with a single outcome without an id. Where the connection breaks off, the "
        "array is not closed."
    )


def _content(schema: Json, example: str | None, streams: bool) -> Json:  # noqa: FBT001
    content: Json = {"schema": {"type": "array", "items": schema} if streams else schema}
    if example in EXAMPLES:
        content["example"] = EXAMPLES[example]
    return content


def _error(code: str, text: str, status: Json) -> Json:
    headers = {"x-request-id": _SENT_ID}
    if code in _RETRYABLE:
        headers["retry-after"] = _RETRY_AFTER
    return {
        "description": text,
        "headers": headers,
        "content": {"application/json": {"schema": status}},
    }
