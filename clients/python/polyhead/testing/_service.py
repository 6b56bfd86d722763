"""The service on a socket."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import grpc

from polyhead import _health
from polyhead.testing._answers import LIMITS, Answerer, Rejection
from polyhead.testing._faults import Fault
from polyhead.testing._heads import DEFAULT_HEADS, Head
from polyhead.testing._servicer import Call, Servicer, State
from polyhead.v1.annotation_service_pb2_grpc import (
    add_AnnotationServiceServicer_to_server,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from polyhead._bundle import Bundle, Health, Limits
    from polyhead._errors import Violation

_WORKERS = 16
_MAX_MESSAGE_BYTES = 128 * 2**20


@dataclass(frozen=True, slots=True)
class ServerTLS:
    """Serves with TLS.

    Attributes:
        certificate: PEM of the server's certificate chain.
        key: PEM of its private key.
        client_ca: PEM of the authorities whose clients may call; None: any client may.
    """

    certificate: bytes
    key: bytes
    client_ca: bytes | None = None


class Service:
    """A running service. Made by `serve`.

    Attributes:
        address: `HOST:PORT` to call.
        port: The port.
    """

    def __init__(self, answerer: Answerer, state: State, server: grpc.Server) -> None:
        self.address = ""
        self.port = 0
        self._answerer = answerer
        self._state = state
        self._server = server

    @property
    def calls(self) -> list[Call]:
        """Every message received, oldest first, failed ones included; health checks aside."""
        return self._state.calls

    @property
    def health(self) -> Health:
        """What health checks say; may be set."""
        return self._state.health

    @health.setter
    def health(self, health: Health) -> None:
        self._state.health = health

    @property
    def bundle(self) -> Bundle:
        """What `list_tasks` gives."""
        return self._answerer.bundle()

    def fail(
        self,
        times: int = 1,
        code: str = "UNAVAILABLE",
        message: str = "made to fail",
        *,
        retry_after: float | None = None,
        violations: Sequence[Violation] = (),
        after: int = 0,
        method: str | None = None,
    ) -> None:
        """Make calls fail.

        Args:
            times: How many.
            code: The status code's name.
            message: The status message.
            retry_after: Seconds to send as RetryInfo.
            violations: Fields to send as BadRequest.
            after: Of a stream: fail it when so many of its messages were answered.
            method: The method concerned; None: Annotate and AnnotateStream.
        """
        rejection = Rejection(code, message, violations, retry_after)
        for _ in range(times):
            self._state.faults.add(Fault(rejection, method, after))

    def fail_items(
        self,
        times: int = 1,
        code: str = "INTERNAL",
        message: str = "made to fail",
        *,
        retry_after: float | None = None,
    ) -> None:
        """Make items of streams fail, each on its own; arguments are those of `fail`."""
        for _ in range(times):
            self._state.faults.add_item(Rejection(code, message, (), retry_after))

    def hold(self) -> AbstractContextManager[None]:
        """Hold the messages of Annotate and AnnotateStream until the block is left."""
        return self._state.gate.closed()

    def wait_held(self, count: int = 1, timeout: float = 10.0) -> None:
        """Wait until so many messages are held.

        Raises:
            TimeoutError: They are not in this time, in seconds.
        """
        self._state.gate.wait_held(count, timeout)

    def shutdown(self) -> None:
        """Go away now, as a server that is killed does: calls that run fail as UNAVAILABLE."""
        self._server.stop(grace=0).wait()


@contextmanager
def serve(
    *,
    heads: Sequence[Head] = DEFAULT_HEADS,
    limits: Limits = LIMITS,
    bundle_version: str = "testing-1",
    port: int = 0,
    token: str | None = None,
    tls: ServerTLS | None = None,
) -> Iterator[Service]:
    """Serve on 127.0.0.1 until the block is left.

    Args:
        heads: The tasks to serve.
        limits: The bounds on one request.
        bundle_version: The version to report.
        port: The port; 0: any free one.
        token: The bearer token that calls must carry; None: none.
        tls: Serve with TLS.

    Raises:
        RuntimeError: The port is taken.
    """
    answerer = Answerer(tuple(heads), replace(limits), "testing", bundle_version)
    state = State(token)
    executor = ThreadPoolExecutor(_WORKERS, thread_name_prefix="polyhead-testing")
    server = grpc.server(
        executor,
        options=(
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ),
    )
    add_AnnotationServiceServicer_to_server(Servicer(state, answerer), server)
    server.add_generic_rpc_handlers((_health_handler(state),))
    service = Service(answerer, state, server)
    service.port = _listen(server, port, tls)
    service.address = f"127.0.0.1:{service.port}"
    server.start()
    try:
        yield service
    finally:
        service.shutdown()
        executor.shutdown()


def _listen(server: grpc.Server, port: int, tls: ServerTLS | None) -> int:
    address = f"127.0.0.1:{port}"
    if tls is None:
        return server.add_insecure_port(address)
    credentials = grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], tls.client_ca, tls.client_ca is not None
    )
    return server.add_secure_port(address, credentials)


def _health_handler(state: State) -> grpc.GenericRpcHandler:
    def check(name: str, context: grpc.ServicerContext) -> Health:
        if name not in ("", _health.ANNOTATION_SERVICE):
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return state.health

    handler = grpc.unary_unary_rpc_method_handler(
        check, _health.decode_request, _health.encode_response
    )
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})
