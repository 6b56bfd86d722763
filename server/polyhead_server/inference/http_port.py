"""The port that serves the Open Inference Protocol over HTTP, beside gRPC and like it.

Its JSON has tensors as plain lists and a binary extension, which a gRPC transcoder cannot give; so
the server speaks it itself, and a gateway leads /v2 here.
"""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from polyhead_server.callers import name_in
from polyhead_server.calls import Method
from polyhead_server.errors import DrainingError, StartError
from polyhead_server.hosts import bare, joined, unmapped
from polyhead_server.inference import describe
from polyhead_server.inference.http_faults import quiet_logger
from polyhead_server.inference.http_wire import HttpWire
from polyhead_server.inference.json_wire import (
    JSON_LENGTH_HEADER,
    dump,
    infer_request,
    infer_response,
    read_object,
)
from polyhead_server.inference.requests import wrong
from polyhead_server.inference.service import SERVICE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from aiohttp.web_request import BaseRequest

    from polyhead_server.calls import Call, Calls
    from polyhead_server.inference.answers import Inference

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
    Answer = Callable[[web.Request, Call], Awaitable[web.Response]]

_JSON = "application/json"
_BINARY = "application/octet-stream"
_MODEL = "/v2/models/{model}"
_VERSION = _MODEL + "/versions/{version}"
_BACKLOG = 128
"""Connections that the system keeps until they are taken."""
_CANCEL_SECONDS = 0.1
"""For a handler to end once it is cancelled."""
_LOOK_SECONDS = 0.01
_UNAVAILABLE = 503
_MISSING = 404
_BAD = 400
_NAME = "polyhead"
"""What answers call the server."""


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket bound to an address; nobody can connect before the port is opened.

    Args:
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        shared: let other processes of this user listen on it, too.

    Raises:
        StartError: the address cannot be had.
    """
    try:
        addresses = socket.getaddrinfo(bare(host), port, type=socket.SOCK_STREAM)
        # Of a name with addresses of both versions, such as localhost, that of version 4.
        found = min(addresses, key=lambda address: address[0] != socket.AF_INET)
        sock = socket.socket(found[0], found[1])
    except OSError as error:
        raise StartError(f"cannot listen on {joined(host, port)}: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(found[4])
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen on {joined(host, port)}: {error.strerror}") from None
    return sock


class _Refused(asyncio.Protocol):
    """A connection that is one too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()


class _Connection(web.RequestHandler):
    """A connection that answers as the protocol asks also where the library answers by itself.

    The library's own answers are plain text, name it, and repeat what the caller sent.
    """

    __slots__ = ()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or an error of ours; the library logs it."""
        super().handle_error(request, status, exc, message)
        response = _error(_unread(exc) if status == _BAD else HTTPStatus(status).phrase, status)
        response.force_close()
        return response

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer, one in JSON for an error from before the handlers, as of `Expect`."""
        if isinstance(resp, web.HTTPException):
            resp = _error(resp.reason, resp.status)
        resp.headers["Server"] = _NAME
        return await super().finish_response(request, resp, start_time)


class HttpPort:
    """Serves inference over HTTP.

    Args:
        inference: answers requests.
        calls: opens the calls, which are counted and let in as over gRPC.
        most_bytes: bytes in one request.
        most_connections: connections at a time; further ones are closed; 0 for any number.
    """

    def __init__(
        self, inference: Inference, calls: Calls, *, most_bytes: int, most_connections: int = 0
    ) -> None:
        self._inference = inference
        self._calls = calls
        app = web.Application(client_max_size=most_bytes, middlewares=[_errors_as_json])
        app.add_routes(self._routes())
        # A handler whose caller went away is cancelled, and with it what waits for the encoder.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, shutdown_timeout=_CANCEL_SECONDS
        )
        self._logger = quiet_logger()
        self._most_connections = most_connections
        self._listening: asyncio.Server | None = None

    async def open(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Begin to answer on a bound socket, which is closed with the port."""
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            self._connection, sock=sock, ssl=tls, backlog=_BACKLOG
        )

    async def refuse(self) -> None:
        """Take no new connections; those there are keep being answered."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None

    async def close(self, seconds: float) -> bool:
        """Close every connection: idle ones at once, others when their answer has left.

        Args:
            seconds: how long to wait for answers that a caller is slow to take.

        Returns:
            Whether all answers had left by then.
        """
        await self.refuse()
        server = self._runner.server
        if server is None:
            return True
        lines = [line for c in server.connections if (line := c.transport) is not None]
        try:
            async with asyncio.timeout(seconds):
                server.pre_shutdown()
                await server.shutdown(seconds)
                while any(map(_unsent, lines)):  # noqa: ASYNC110 - asyncio has no event for it
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            for line in lines:
                line.abort()
            return False
        finally:
            await self._runner.cleanup()
        return True

    def _connection(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None  # noqa: S101 - it is set up before anybody connects
        most = self._most_connections
        if most and len(server.connections) >= most:
            return _Refused()
        loop = asyncio.get_running_loop()
        no_log: Any = None  # the library takes it, but its types do not say so
        return _Connection(server, loop=loop, logger=self._logger, access_log=no_log)

    def _routes(self) -> list[web.RouteDef]:
        get: dict[str, tuple[str, Answer]] = {
            "/v2": ("ServerMetadata", self._server_metadata),
            "/v2/": ("ServerMetadata", self._server_metadata),
            "/v2/models/stats": ("ModelStatistics", self._statistics),
        }
        for model in (_MODEL, _VERSION):
            get[f"{model}/ready"] = ("ModelReady", self._model_ready)
            get[f"{model}/config"] = ("ModelConfig", self._model_config)
            get[f"{model}/stats"] = ("ModelStatistics", self._statistics)
            get[model] = ("ModelMetadata", self._model_metadata)
        post: dict[str, tuple[str, Answer]] = {
            f"{_MODEL}/infer": ("ModelInfer", self._infer),
            f"{_VERSION}/infer": ("ModelInfer", self._infer),
            "/v2/repository/index": ("RepositoryIndex", self._index),
        }
        return [
            web.get("/v2/health/live", self._live),
            web.get("/v2/health/ready", self._ready),
            *(web.get(path, self._handler(*what)) for path, what in get.items()),
            *(web.post(path, self._handler(*what)) for path, what in post.items()),
        ]

    def _handler(self, name: str, answer: Answer) -> Handler:
        method = Method("http", SERVICE, name)

        async def handle(request: web.Request) -> web.Response:
            wire = HttpWire(
                request.headers, peer=_peer(request), certificate=_certified_name(request)
            )
            response = None
            with self._calls.open(wire, method) as call:
                call.received()
                call.send_id()
                call.let_in()
                response = await answer(request, call)
                call.sent()
            if response is None:
                response = web.Response(
                    status=wire.status, body=wire.body, content_type=_JSON, headers=wire.retry
                )
            response.headers.update(wire.headers)
            return response

        return handle

    # These two are open to all, and no calls: gateways ask every second, which would make rates of
    # errors and times look better than callers find them, and fill the log.
    async def _live(self, _: web.Request) -> web.Response:
        return _json({"live": True})

    async def _ready(self, _: web.Request) -> web.Response:
        ready = self._inference.ready()
        return _json({"ready": ready}, 200 if ready else _UNAVAILABLE)

    async def _model_ready(self, request: web.Request, _: Call) -> web.Response:
        name, version = _model(request)
        self._inference.catalog.find(name, version)
        ready = self._inference.ready()
        return _json({"name": name, "ready": ready}, 200 if ready else _UNAVAILABLE)

    async def _server_metadata(self, _: web.Request, __: Call) -> web.Response:
        return _json(describe.server_metadata())

    async def _model_metadata(self, request: web.Request, _: Call) -> web.Response:
        return _json(describe.model_metadata(self._inference.catalog.find(*_model(request))))

    async def _model_config(self, request: web.Request, _: Call) -> web.Response:
        model = self._inference.catalog.find(*_model(request))
        return _json(describe.model_config(model, self._inference.annotator.limits))

    async def _statistics(self, request: web.Request, _: Call) -> web.Response:
        return _json(describe.statistics(self._inference.records(*_model(request))))

    async def _index(self, request: web.Request, call: Call) -> web.Response:
        async with asyncio.timeout_at(call.deadline()):
            body = await _body(request)
        asked = await self._inference.annotator.work(len(body), lambda: read_object(body))
        models = describe.repository_index(
            self._inference.catalog,
            ready=self._inference.ready(),
            ready_only=asked.get("ready") is True,
        )
        return _json(models)

    async def _infer(self, request: web.Request, call: Call) -> web.Response:
        if self._calls.draining:
            raise DrainingError
        deadline = call.deadline()
        async with asyncio.timeout_at(deadline):
            body = await _body(request)
        work = self._inference.annotator.work
        length = request.headers.get(JSON_LENGTH_HEADER)
        name, version = _model(request)
        asked = await work(len(body), lambda: infer_request(name, version, body, length))
        answer = await self._inference.infer(asked, call, deadline=deadline)
        content, json_length = await work(len(body), lambda: infer_response(answer, asked))
        if json_length is None:
            return web.Response(body=content, content_type=_JSON)
        headers = {JSON_LENGTH_HEADER: str(json_length)}
        return web.Response(body=content, content_type=_BINARY, headers=headers)


def _unsent(line: asyncio.Transport) -> int:
    """Bytes of answers that the system has not taken yet."""
    try:
        return line.get_write_buffer_size()
    except AttributeError:  # one of TLS that was closed more than once
        return 0


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is not ours to answer has a JSON error, too, and no answer names the library."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        text = _NO_PAGE if error.status == _MISSING else error.reason
        kept = {k: v for k, v in error.headers.items() if k == "Allow"}
        response = _error(text, error.status)
        response.headers.update(kept)
    return response


_NO_PAGE = "there is nothing at this path: the Open Inference Protocol is at /v2"


async def _body(request: web.Request) -> bytes:
    """The body.

    Raises:
        InvalidRequestError: it does not come as its headers say, or is larger than requests may be.
    """
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise wrong(
            "body", f"is larger than the limit of {request.client_max_size} bytes"
        ) from None
    except (web.RequestPayloadError, ValueError):
        raise wrong("body", "does not come as its headers say") from None


def _peer(request: web.Request) -> str:
    """The caller's address as gRPC writes it; empty where the connection is gone."""
    transport = request.transport
    name = transport.get_extra_info("peername") if transport is not None else None
    if not isinstance(name, tuple):
        return ""
    host, port = name[:2]
    if ":" in host:
        host = unmapped(host)
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"


def _certified_name(request: web.Request) -> str:
    """Whom the caller's certificate names; empty without one."""
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    return name_in(certificate or {})


def _model(request: web.Request) -> tuple[str, str]:
    """Name and version from the path; empty where there is none."""
    return request.match_info.get("model", ""), request.match_info.get("version", "")


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=dump(content), status=status, content_type=_JSON)


def _error(text: str, status: int) -> web.Response:
    return _json({"error": text}, status)


def _unread(error: BaseException | None) -> str:
    """Why a request could not be read, without a byte of it."""
    if isinstance(error, ContentEncodingError):
        return "the Content-Encoding is none that this server reads"
    return "the request cannot be read as HTTP"
