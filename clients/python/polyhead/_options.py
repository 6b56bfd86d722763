"""What a caller can set, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OffsetUnit(StrEnum):
    """The unit in which offsets into a document are counted."""

    CODE_POINT = "code_point"
    """Unicode code points, as Python counts: `text[start:end]` is the surface text."""
    UTF8_BYTE = "utf8_byte"
    """Bytes of the UTF-8 encoding, as Go, Rust and C count."""
    UTF16 = "utf16"
    """16-bit units of the UTF-16 encoding, as JavaScript, Java and C# count."""


class Priority(StrEnum):
    """How urgent a call is. While both kinds wait, each has a share of the server's encoder."""

    INTERACTIVE = "interactive"
    """Somebody waits for the answer: what a single call is by default."""
    BULK = "bulk"
    """Much work, and none of it urgent: what a stream is by default."""


@dataclass(frozen=True, slots=True)
class TLS:
    """Turns on TLS.

    Attributes:
        ca: PEM of the authorities to trust. None: those that come with gRPC.
        certificate: PEM of the client's own certificate chain, for mutual TLS.
        key: PEM of that certificate's private key.
        server_name: The name to expect in the server's certificate, where it is not that of the
            target, as with a list of addresses.

    Raises:
        ValueError: Only one of certificate and key was given.
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("TLS needs certificate and key together, or neither")

    def __repr__(self) -> str:
        """Name what is set, never the key."""
        names = ("ca", "certificate", "key")
        given = [name for name in names if getattr(self, name) is not None]
        return f"TLS({', '.join(given)})"


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token sent with every call as `authorization: Bearer VALUE`.

    Attributes:
        value: The token.
        allow_insecure: Send it over a connection without TLS too, where anybody on the way can
            read it.

    Raises:
        ValueError: The value is empty or holds other than visible ASCII characters.
    """

    value: str
    allow_insecure: bool = False

    def __post_init__(self) -> None:
        if not self.value or not all("!" <= character <= "~" for character in self.value):
            raise ValueError("a token is one or more visible ASCII characters")

    def __repr__(self) -> str:
        """Never show the token."""
        return f"BearerToken('***', allow_insecure={self.allow_insecure})"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how often a call is sent again.

    Only failures that sending again can mend are retried: UNAVAILABLE, and RESOURCE_EXHAUSTED
    where the server said how long to wait. The wait before retry n is drawn from half of
    `min(max_backoff, initial_backoff * 2**(n - 1))` seconds to all of it ("equal jitter"), on top
    of what the server said, and never beyond the call's deadline. Over all its calls a client
    spends at most one retry for every ten calls, and ten more; it saves up to a hundred.

    Attributes:
        max_attempts: Attempts of one call, the first included. 1 turns retries off. The default's
            waits last 3.1 to 6.2 seconds in all, which outlasts a server that is started again.
        initial_backoff: Seconds, at most, before the first retry.
        max_backoff: Seconds, at most, before any retry.

    Raises:
        ValueError: A value is out of range.
    """

    max_attempts: int = 6
    initial_backoff: float = 0.2
    max_backoff: float = 5.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError("max_attempts is at least 1")
        if not 0 < self.initial_backoff <= self.max_backoff:
            raise ValueError("0 < initial_backoff <= max_backoff")


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """The connection's limits.

    Attributes:
        max_send_bytes: Largest request message. Above the server's own limit it is of no use.
        max_receive_bytes: Largest answer; a tagged megabyte of text takes about 8 MB.
        keepalive_seconds: While calls run, ask a silent server after this time whether it lives.
        keepalive_timeout_seconds: Hold it for dead when it has not said so by then.
    """

    max_send_bytes: int = 8 * 2**20
    max_receive_bytes: int = 128 * 2**20
    keepalive_seconds: float = 30.0
    keepalive_timeout_seconds: float = 10.0
