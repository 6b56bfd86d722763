"""The synchronous client."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import grpc

from polyhead import _health
from polyhead._bulk import STREAM_PATH, decode_response, encode_request
from polyhead._calls import SyncCalls
from polyhead._channel import connection
from polyhead._closed import ClosedStream, closed_failure
from polyhead._options import TLS, BearerToken, ChannelOptions, RetryPolicy
from polyhead._settings import DEFAULT_TARGET, DEFAULT_TIMEOUT, planner
from polyhead._status import joined
from polyhead._steps import Deadline, Method, Reply, Send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyhead._client_stream import StreamMethod


class Client(SyncCalls):
    """Calls a polyhead server. Safe to share between threads; a context manager.

    Every call has a deadline, retries included, and is tried again only where that is safe: see
    `RetryPolicy`. Calls are spread over all addresses of the target in turn.

    Args:
        target: `HOST:PORT`, a comma list of `IP:PORT`, or `dns:///NAME:PORT` for all addresses
            of a name.
        timeout: Seconds for a call that does not say otherwise; infinity, or anything longer than
            24 days, for no deadline.
        retry: When and how often to try again.
        tls: Turns on TLS.
        token: A bearer token to send with every call; needs TLS unless allowed without.
        channel: The connection's limits.

    Raises:
        ValueError: The target cannot be understood, or the token would travel in the clear.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = None,
        tls: TLS | None = None,
        token: str | BearerToken | None = None,
        channel: ChannelOptions | None = None,
    ) -> None:
        channel = channel or ChannelOptions()
        super().__init__(planner(timeout, retry, tls, token, channel))
        self._channel = _open(target, tls, channel)
        self._methods = {method: _bind(self._channel, method) for method in Method}
        self._stream = self._channel.stream_stream(STREAM_PATH, encode_request, decode_response)

    def _send(self, step: Send) -> Reply:
        try:
            message, call = self._methods[step.method].with_call(
                step.request, timeout=step.timeout, metadata=step.metadata
            )
        except ValueError:
            if self._closed:
                raise closed_failure() from None
            raise
        return Reply(message, joined(call.initial_metadata(), call.trailing_metadata()))

    def _stream_method(self) -> StreamMethod:
        return self._open_stream

    def _open_stream(self, request_iterator: Iterator[Any], *, metadata: Any) -> Any:
        try:
            return self._stream(request_iterator, metadata=metadata)
        except ValueError:
            if self._closed:
                return ClosedStream()
            raise

    def _reconnect(self, seconds: float) -> None:
        """Wait so long with a call that waits for a connection.

        grpc looks after a connection that is being made only while a call waits for it, or else
        every 5 seconds: all attempts would fail before that, while the server is there again.
        """
        deadline = Deadline(seconds)
        ask = self._methods[Method.HEALTH]
        with contextlib.suppress(grpc.RpcError, ValueError):  # the latter where it was closed
            ask(_health.ANNOTATION_SERVICE, timeout=seconds, wait_for_ready=True)
        super()._reconnect(deadline.remaining())

    def _hang_up(self) -> None:
        self._channel.close()


def _open(target: str, tls: TLS | None, channel: ChannelOptions) -> grpc.Channel:
    where = connection(target, tls, channel)
    if where.credentials is None:
        return grpc.insecure_channel(where.target, where.options)
    return grpc.secure_channel(where.target, where.credentials, where.options)


def _bind(channel: grpc.Channel, method: Method) -> grpc.UnaryUnaryMultiCallable[Any, Any]:
    path, encode, decode = method.value
    return channel.unary_unary(path, encode, decode)
