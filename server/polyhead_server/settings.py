"""Every setting of the server, in one frozen object. Nothing below the command line reads more."""

from __future__ import annotations

import ipaddress
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from polyhead_server.cpus import usable_cpus
from polyhead_server.errors import SettingsError
from polyhead_server.hosts import bare

DEFAULT_BUNDLE = Path(__file__).parent / "bundles" / "default"

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]

_LAST_PORT = 65_535
_MOST_A_PROCESSOR = 16
"""Workers, threads, streams: nobody gains by more than one, and thousands would take all memory."""
_MOST_BATCH_TOKENS = 65_536
"""A batch of so many takes seconds, and every length up to it is warmed."""
_LARGEST = 2**31 - 1
"""gRPC keeps its options in a C int."""
_MOST_ON_THE_WIRE = 2**32 - 1
"""ListTasks tells of limits in fields of this size."""
_MOST_SECONDS = _LARGEST // 1000
"""gRPC takes its times in milliseconds."""
_FILES = (
    *("tls_cert", "tls_key", "tls_client_ca", "token_file", "admin_token_file"),
    *("jwt_keys", "bundle_key"),
)
_ALGORITHMS = (
    *(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)),
    "EdDSA",
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server is told.

    The flag of `max_documents` is --max-documents, its environment variable POLYHEAD_MAX_DOCUMENTS;
    a flag beats the environment, which beats the default. The sentence below each field is
    what `polyhead-server serve --help` shows.
    """

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 or [::] for all."""
    port: int = 50_051
    """Port of the gRPC server; 0 takes any free one."""
    metrics_host: str = "127.0.0.1"
    """Address on which Prometheus metrics are served."""
    metrics_port: int = 9_464
    """Port on which Prometheus metrics are served; 0 takes any free one, -1 serves none."""
    inference_http_port: int = -1
    """Port for the Open Inference Protocol over HTTP; 0 takes any free one, -1 serves none."""
    bundle: Path = DEFAULT_BUNDLE
    """Folder of the bundle to serve."""
    threads: int = 0
    """Threads of each worker's encoder; 0 shares out what affinity and container quota allow."""
    workers: int | Literal["auto"] = 1
    """Processes that share the port and the processors, 16 for each of these at most; auto takes
    one for each."""
    engine: str = "openvino"
    """What runs the encoder: openvino, or an engine that is installed beside it, such as torch."""
    precision: Literal["auto", "bf16", "f32"] = "auto"
    """What is computed in floating point; auto takes bf16 where the hardware has it, else f32."""
    streams: int = 0
    """Batches encoded at the same time, each by its share of the threads; 0 for one a thread, which
    does the most. 1 puts all threads to each batch: a lone text is done sooner, many are not."""
    warm_seconds: float = 0.25
    """Seconds of warm-up, short batches first, before the server is ready; the rest comes after."""
    compile_cache: Path | None = None
    """Folder in which the engine keeps what it compiles, for quicker starts."""
    batch_tokens: int = 192
    """Tokens in one encoder batch; a longer window runs alone."""
    batch_seconds: float = 0.05
    """Time that one batch should take: a slow processor gets batches of fewer tokens."""
    queue_tokens: int = 65_536
    """Tokens that may wait for the encoder in a lane; more are refused with RetryInfo."""
    bulk_share: float = 0.25
    """Part of the encoder, between 0 and 1, that bulk work has while interactive calls wait too."""
    age_limit: float = 1.0
    """Seconds of waiting after which a text goes first in its lane, whatever the deadlines."""
    max_documents: int = 1_024
    """Documents in one request."""
    max_text_chars: int = 100_000
    """Code points in one document."""
    max_request_chars: int = 1_000_000
    """Code points in all documents of one request together."""
    max_message_bytes: int = 8_388_608
    """Bytes in one request message."""
    max_concurrent_streams: int = 1_024
    """Calls under way on one connection."""
    max_connections: int = 0
    """Connections to each port at a time, in each worker; further ones are refused; 0 any."""
    max_connection_age: float = 0.0
    """Seconds after which clients are told to connect anew, and so find new servers; 0 never."""
    watch_bundle: bool = False
    """Look at the bundle's folder, or what a link leads to, and load it anew when it changes."""
    max_bundles: int = 2
    """Bundles in memory at most, one that is being loaded or on its way out included."""
    admin_host: str = "127.0.0.1"
    """Address of the admin port; one that other machines reach needs admin_token_file."""
    admin_port: int = -1
    """Port for admin calls, which load and unload bundles; 0 takes any free one, -1 serves none."""
    admin_token_file: Path | None = None
    """File with the bearer tokens of admins, one a line; no file lets everybody in that reaches the
    admin port."""
    default_deadline: float = 30.0
    """Seconds that a single call may take where the client sets no deadline."""
    max_deadline: float = 0.0
    """Seconds that any call may take, streams too, whatever deadline the client sets; 0 any."""
    client_rate: float = 0.0
    """Calls a second of one client, by token, certificate or address, in each worker; 0 any. More
    are refused with RetryInfo; messages of a stream count, and wait instead."""
    client_burst: float = 0.0
    """Calls of one client that may come at once; 0 for those of one second."""
    client_chars_per_second: float = 0.0
    """Code points a second of one client, likewise; 0 any."""
    client_chars_burst: float = 0.0
    """Code points of one client that may come at once; 0 for those of one second."""
    stream_items: int = 2_048
    """Items of one stream that the server holds before it stops reading."""
    cache_mb: int = 0
    """MiB of results kept for texts that come again, in each worker; 0 keeps none."""
    drain_seconds: float = 20.0
    """Seconds to finish work under way after SIGTERM or SIGINT; what is left then is refused."""
    stuck_seconds: float = 30.0
    """Seconds that a run of the encoder may last; beyond that the process says that it is stuck,
    to its probes and to systemd, and one of several workers is replaced; 0 for any time."""
    log_format: LogFormat = "auto"
    """Form of the log on standard error; auto is console on a terminal, else json."""
    log_level: LogLevel = "info"
    """Least severe level that is logged."""
    access_log: bool = False
    """Log one line for each call: who, method, status, sizes, seconds by stage; never text."""
    log_text: bool = False
    """Log the texts that are annotated, too: not with private data."""
    otlp_endpoint: str | None = None
    """URL of an OpenTelemetry collector, such as http://localhost:4317, to which traces go by
    OTLP over gRPC; where OTEL_EXPORTER_OTLP_ENDPOINT is set, that."""
    trace_sample: float | None = None
    """Part of the traces begun here that are recorded, from 0 to 1; none leaves it to
    OTEL_TRACES_SAMPLER, and records all without. A caller's own decision holds for its trace."""
    tls_cert: Path | None = None
    """PEM file with the server's certificate chain; turns TLS on, together with the key."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key."""
    tls_client_ca: Path | None = None
    """PEM file with the authorities of client certificates, which then are required."""
    token_file: Path | None = None
    """File with the bearer tokens that callers may use, one a line, a name and a blank before it;
    no file lets everybody in."""
    jwt_keys: Path | None = None
    """File with public keys, a JSON Web Key Set or PEM; callers may use tokens signed by theirs."""
    jwt_issuer: str | None = None
    """The issuer that such tokens must name; none allows any."""
    jwt_audience: str | None = None
    """The audience that such tokens must name; none allows any."""
    jwt_algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    """How such tokens may be signed, of RS, PS and ES with 256, 384 and 512, and EdDSA."""
    jwt_scope: str | None = None
    """A word that the scope of such tokens must hold; none asks for no scope."""
    jwt_leeway: float = 30.0
    """Seconds by which the clock of whoever signs may differ."""
    bundle_key: Path | None = None
    """PEM file with the Ed25519 public key that the bundle must be signed with."""

    def __post_init__(self) -> None:
        problems = [
            *self._port_problems(),
            *self._size_problems(),
            *self._file_problems(),
            *self._guard_problems(),
        ]
        if problems:
            raise SettingsError(problems)

    def _port_problems(self) -> list[str]:
        problems = []
        if not 0 <= self.port <= _LAST_PORT:
            problems.append(f"port: {self.port} is not from 0 to {_LAST_PORT}")
        problems += [
            f"{name}: {port} is not from -1 to {_LAST_PORT}"
            for name in ("metrics_port", "inference_http_port", "admin_port")
            if not -1 <= (port := getattr(self, name)) <= _LAST_PORT
        ]
        problems += self._shared_ports()
        open_admin = self.admin_port >= 0 and self.admin_token_file is None
        if open_admin and not _is_loopback(self.admin_host):
            problems.append(f"admin_host: {self.admin_host} needs admin_token_file")
        return problems

    def _shared_ports(self) -> list[str]:
        listeners = (
            ("port", self.host, self.port, "the gRPC server"),
            ("metrics_port", self.metrics_host, self.metrics_port, "the metrics"),
            ("inference_http_port", self.host, self.inference_http_port, "inference over HTTP"),
            ("admin_port", self.admin_host, self.admin_port, "the admin port"),
        )
        return [
            f"{name}: {port} is the port of {owner}"
            for (_, *first, owner), (name, host, port, _) in itertools.combinations(listeners, 2)
            if first == [host, port] and port > 0
        ]

    def _processor_problems(self) -> list[str]:
        """What is more than the processors are good for."""
        most = _MOST_A_PROCESSOR * usable_cpus()
        workers = 1 if self.workers == "auto" else self.workers
        given = {"workers": workers, "threads": self.threads, "streams": self.streams}
        return [
            f"{name}: {value} is more than {most}, {_MOST_A_PROCESSOR} a processor"
            for name, value in given.items()
            if value > most
        ]

    def _size_problems(self) -> list[str]:
        least = {
            "threads": 0,
            "streams": 0,
            "warm_seconds": 0,
            "batch_tokens": 1,
            "queue_tokens": 1,
            "age_limit": 0,
            "max_documents": 1,
            "max_text_chars": 1,
            "max_request_chars": 1,
            "max_message_bytes": 1,
            "max_concurrent_streams": 1,
            "max_connection_age": 0,
            "max_connections": 0,
            "max_deadline": 0,
            "client_rate": 0,
            "client_burst": 0,
            "client_chars_per_second": 0,
            "client_chars_burst": 0,
            "jwt_leeway": 0,
            "stream_items": 1,
            "cache_mb": 0,
            "max_bundles": 2,
            "drain_seconds": 0,
            "stuck_seconds": 0,
        }
        problems = [
            f"{name}: {getattr(self, name)} is less than {bound}"
            for name, bound in least.items()
            if not getattr(self, name) >= bound
        ]
        problems += self._largest_problems()
        problems += self._processor_problems()
        if self.workers != "auto" and not self.workers >= 1:
            problems.append(f"workers: {self.workers} is less than 1")
        if not self.batch_seconds > 0:
            problems.append(f"batch_seconds: {self.batch_seconds} is not above 0")
        if not 0 < self.bulk_share < 1:
            problems.append(f"bulk_share: {self.bulk_share} is not between 0 and 1")
        if self.trace_sample is not None and not 0 <= self.trace_sample <= 1:
            problems.append(f"trace_sample: {self.trace_sample} is not from 0 to 1")
        if not self.default_deadline > 0:
            problems.append(f"default_deadline: {self.default_deadline} is not above 0")
        return problems

    def _largest_problems(self) -> list[str]:
        """What is larger than gRPC or clients can be told, or than an engine can do."""
        most = {
            "batch_tokens": _MOST_BATCH_TOKENS,
            "max_message_bytes": _LARGEST,
            "max_documents": _MOST_ON_THE_WIRE,
            "max_text_chars": _MOST_ON_THE_WIRE,
            "max_request_chars": _MOST_ON_THE_WIRE,
            "max_concurrent_streams": _LARGEST,
            "max_connections": _LARGEST - 1,  # at the last one gRPC ends the process
            "max_connection_age": _MOST_SECONDS,
        }
        if self.max_connection_age > 0:  # else gRPC does not hear of deadlines
            most["default_deadline"] = _MOST_SECONDS
        return [
            f"{name}: {value} is more than {bound}"
            for name, bound in most.items()
            if (value := getattr(self, name)) > bound
        ]

    def _guard_problems(self) -> list[str]:
        problems = [
            f"jwt_algorithms: {name} is not one of {', '.join(_ALGORITHMS)}"
            for name in self.jwt_algorithms
            if name not in _ALGORITHMS
        ]
        if not self.jwt_algorithms:
            problems.append("jwt_algorithms: at least one is needed")
        if self.jwt_keys is None:
            problems += [
                f"{name}: needs jwt_keys"
                for name in ("jwt_issuer", "jwt_audience", "jwt_scope")
                if getattr(self, name) is not None
            ]
        for burst, rate in (
            ("client_burst", "client_rate"),
            ("client_chars_burst", "client_chars_per_second"),
        ):
            if getattr(self, burst) and not getattr(self, rate):
                problems.append(f"{burst}: needs {rate}")
        if 0 < self.client_burst < 1:
            problems.append(f"client_burst: {self.client_burst} is less than 1")
        return problems

    def _file_problems(self) -> list[str]:
        problems = [
            f"{name}: there is no file {file}"
            for name in _FILES
            if (file := getattr(self, name)) is not None and not file.is_file()
        ]
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls_key" if self.tls_key is None else "tls_cert"
            problems.append(f"{missing}: certificate and key must be given together")
        if self.tls_client_ca is not None and self.tls_cert is None:
            problems.append("tls_client_ca: needs tls_cert and tls_key")
        return problems


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(bare(host)).is_loopback
    except ValueError:
        return host == "localhost"
