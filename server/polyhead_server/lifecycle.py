"""A server's life, in order: bind, load, warm, serve; then refuse, drain, close."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import grpc
import structlog
from grpc_reflection.v1alpha import reflection

from polyhead_server.acceptors import Acceptors
from polyhead_server.calls import Calls
from polyhead_server.engines import find_engine
from polyhead_server.extras import needs_extra
from polyhead_server.grpc_options import grpc_options
from polyhead_server.hosts import joined
from polyhead_server.inference.answers import Inference
from polyhead_server.inference.service import SERVICE as INFERENCE
from polyhead_server.inference.service import InferenceService
from polyhead_server.liveness import Liveness
from polyhead_server.liveness_health import OVERALL, SERVICE_NAME, Health, health_names
from polyhead_server.metrics import Metrics, MetricsPort
from polyhead_server.ready import Ready
from polyhead_server.reflecting import reflection_handlers
from polyhead_server.rollout.admin import open_admin_port
from polyhead_server.rollout.bundles import Bundles
from polyhead_server.security.access import make_access
from polyhead_server.security.tls import bind, tls_context
from polyhead_server.service import SERVICE, AnnotationService
from polyhead_server.trimming import Trimming

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from polyhead_server.inference.http_port import HttpPort
    from polyhead_server.rollout.admin import AdminPort
    from polyhead_server.rollout.candidates import Candidates
    from polyhead_server.settings import Settings
    from polyhead_server.tracing import Tracing

_log = structlog.get_logger(__name__)

_LAST_WORDS_SECONDS = 1.0
"""Time for calls that a drain gave up to be told so, and for connections to end by themselves."""
_LARGE_SHARE = 0.5
"""Part of the time to drain for which large calls may keep connections from being told."""
_LAST_SPANS_SECONDS = 2.0
"""Time to send what is left of traces."""


class Server:
    """A running server, made by `start_server`."""

    def __init__(
        self,
        settings: Settings,
        grpc_server: grpc.aio.Server,
        bundles: Bundles,
        metrics: Metrics,
        metrics_port: MetricsPort | None,
        address: str,
        http_socket: socket.socket | None = None,
        admin_port: AdminPort | None = None,
    ) -> None:
        self.metrics = metrics
        self._settings = settings
        self._grpc = grpc_server
        self._bundles = bundles
        self._admin_port = admin_port
        self._metrics_port = metrics_port
        self._serving = False
        self._liveness = Liveness(
            bundles.runs,
            lambda: bundles.roster.waiting_items,
            settings.stuck_seconds,
            lambda: self._health.tell(),  # noqa: PLW0108 - made only after
        )
        self._trimming = Trimming()
        self._health = Health(self._names)
        bundles.roster.on_change = self._health.tell
        metrics.watch_life(lambda: not self.alive)
        if metrics_port is not None:
            metrics_port.probes.watch(lambda: self.alive, self._is_ready)
        self._tracing = _tracing(settings)
        self._calls = Calls(
            metrics,
            default_deadline=settings.default_deadline,
            access=make_access(settings, metrics.registry),
            access_log=settings.access_log,
            log_text=settings.log_text,
            tracing=self._tracing,
        )
        self._inference = Inference(bundles.roster, lambda: bool(self._is_ready("")))
        self._http_socket = http_socket
        self._http_port = None if http_socket is None else self._make_http_port()
        bundle = bundles.roster.bundle
        self.ready = Ready(
            address=address,
            bundle=bundle.name,
            bundle_version=bundle.version,
            tasks=tuple(head.name for head in bundle.heads),
            metrics=metrics_port.url if metrics_port else None,
            inference=None if http_socket is None else _http_url(settings, http_socket),
            admin=None if admin_port is None else admin_port.address,
        )

    @property
    def candidates(self) -> Candidates:
        """What changes the bundles of this process."""
        return self._bundles.candidates

    async def serve(self) -> None:
        """Begin to answer calls."""
        self._bundles.start()
        service = AnnotationService(
            self._bundles.roster, self._calls, stream_items=self._settings.stream_items
        )
        inference = InferenceService(
            self._inference, self._calls, stream_items=self._settings.stream_items
        )
        known = (SERVICE, INFERENCE, SERVICE_NAME, reflection.SERVICE_NAME)
        handlers = (
            *(service.handlers(), inference.handlers()),
            *(self._health.handlers(), reflection_handlers(known)),
        )
        self._grpc.add_generic_rpc_handlers(handlers)
        await self._grpc.start()
        self._acceptors = Acceptors(self._grpc, handlers)
        self._acceptors.start()
        if self._http_port is not None and self._http_socket is not None:
            await self._http_port.open(self._http_socket, tls_context(self._settings))
        self._liveness.start()
        self._trimming.start()
        self._tell_health(serving=True)
        self._bundles.settle()
        if self._admin_port is not None:
            await self._admin_port.open(self._bundles.rollout, self.metrics)

    def reload(self) -> None:
        """Begin to load the bundle anew; where that fails, the log says why and all stays."""
        self._bundles.rollout.ask()

    async def stop(self) -> bool:
        """Drain and close; the second time there is nothing left to do.

        Returns:
            Whether all calls under way were finished within the limit.
        """
        if self._calls.departure.begun:
            return True
        limit = self._settings.drain_seconds
        end = time.monotonic() + limit

        def left() -> float:
            return max(0.0, end - time.monotonic())

        _log.info("draining", limit=limit)
        self._tell_health(serving=False)
        await self._bundles.hold()
        if self._admin_port is not None:
            await self._admin_port.close()
        await self._calls.departure.begin(limit * _LARGE_SHARE)
        refusing = asyncio.create_task(self._grpc.stop(left() + _LAST_WORDS_SECONDS))
        self._calls.drain()
        if self._http_port is not None:
            await self._http_port.refuse()
        drained = await self._calls.idle(left())
        leaving = asyncio.create_task(self._close_http(left() + _LAST_WORDS_SECONDS))
        await self._bundles.roster.drain(left())
        await self._bundles.roster.close()
        await self._calls.idle(_LAST_WORDS_SECONDS)
        await asyncio.wait([refusing], timeout=_LAST_WORDS_SECONDS)
        await self._grpc.stop(None)
        await refusing
        drained = await leaving and drained
        if self._tracing is not None:
            await self._tracing.close(_LAST_SPANS_SECONDS)
        if self._metrics_port is not None:
            self._metrics_port.close()
        await self._bundles.free()
        await self._trimming.close()
        await self._liveness.close()
        _log.info("stopped", drained=drained)
        return drained

    async def _close_http(self, seconds: float) -> bool:
        return self._http_port is None or await self._http_port.close(seconds)

    @property
    def alive(self) -> bool:
        """Whether the process can answer calls at all; may be asked from any thread."""
        return self._liveness.alive

    def _tell_health(self, *, serving: bool) -> None:
        self._serving = serving
        self._health.tell()

    def _names(self) -> dict[str, bool]:
        heads = tuple(head.name for head in self._bundles.roster.bundle.heads)
        services = {SERVICE: heads, INFERENCE: ()}
        return health_names(services, ready=self._serving, alive=not self._liveness.stuck)

    def _is_ready(self, head: str) -> bool | None:
        return self._names().get(f"{SERVICE}/{head}" if head else OVERALL)

    def _make_http_port(self) -> HttpPort:
        from polyhead_server.inference.http_port import HttpPort  # noqa: PLC0415 - an extra

        settings = self._settings
        return HttpPort(
            self._inference,
            self._calls,
            most_bytes=settings.max_message_bytes,
            most_connections=settings.max_connections,
        )


async def start_server(
    settings: Settings, prepare: Callable[[Candidates], Awaitable[None]] | None = None
) -> Server:
    """Start a server.

    Args:
        settings: what it is to be.
        prepare: is awaited with the bundle loaded, and before anybody is answered.

    Raises:
        BundleError: the bundle cannot be served.
        StartError: a port or a file that it needs cannot be had.
    """
    find_engine(settings.engine)
    grpc_server = _grpc_server(settings)
    # One of several workers listens once it can answer: others do meanwhile, and what the system
    # gave to this one would wait for seconds.
    alone = settings.workers == 1
    address = bind(grpc_server, settings.host, settings.port, settings) if alone else ""
    metrics = Metrics()
    metrics.watch_process()
    metrics_port = None
    http_socket = None
    admin_port = None
    try:
        http_socket = _http_socket(settings)
        if settings.metrics_port >= 0:
            metrics_port = MetricsPort(
                metrics.registry, settings.metrics_host, settings.metrics_port
            )
        admin_port = open_admin_port(settings)
        bundles = await Bundles.load(settings, metrics)
        if prepare is not None:
            await prepare(bundles.candidates)
        if not alone:
            address = bind(grpc_server, settings.host, settings.port, settings)
        server = Server(
            *(settings, grpc_server, bundles, metrics, metrics_port, address),
            http_socket,
            admin_port,
        )
        await server.serve()
    except BaseException:
        await grpc_server.stop(None)
        if metrics_port is not None:
            metrics_port.close()
        if http_socket is not None:
            http_socket.close()
        if admin_port is not None:
            await admin_port.close()
        raise
    _log.info("ready", **{name: getattr(server.ready, name) for name in Ready.__slots__})
    return server


def _tracing(settings: Settings) -> Tracing | None:
    """What traces calls; None where that is not asked for, or forbidden by OpenTelemetry's own."""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if settings.otlp_endpoint is None or disabled:
        return None
    with needs_extra("tracing", "tracing needs"):
        from polyhead_server.tracing import Tracing  # noqa: PLC0415 - an extra
    return Tracing(settings.otlp_endpoint, settings.trace_sample)


def _grpc_server(settings: Settings) -> grpc.aio.Server:
    return grpc.aio.server(options=grpc_options(settings, shared=settings.workers != 1))


def _http_socket(settings: Settings) -> socket.socket | None:
    """The socket of the Open Inference Protocol over HTTP; None where it is not served."""
    if settings.inference_http_port < 0:
        return None
    with needs_extra("http", "inference over HTTP needs"):
        from polyhead_server.inference.http_port import listen  # noqa: PLC0415 - an extra
    return listen(settings.host, settings.inference_http_port, shared=settings.workers != 1)


def _http_url(settings: Settings, http_socket: socket.socket) -> str:
    scheme = "http" if settings.tls_cert is None else "https"
    return f"{scheme}://{joined(settings.host, http_socket.getsockname()[1])}"
