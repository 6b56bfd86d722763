"""Every setting of the gateway, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path  # noqa: TC003 - options read the types of the fields
from typing import Literal

from polyhead_server.errors import SettingsError

NOWHERE = "none"
"""Address that says that nothing is to listen."""

EnvoyLogLevel = Literal["debug", "info", "warning", "error"]

_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What the gateway is told.

    The flag of `max_request_bytes` is --max-request-bytes, its environment variable
    POLYHEAD_GATEWAY_MAX_REQUEST_BYTES; a flag beats the environment, which beats the default. The
    sentence below each field is what `polyhead-server gateway --help` shows.
    """

    listen: str = "127.0.0.1:8080"
    """Address and port for callers; port 0 takes any free one."""
    upstream: tuple[str, ...] = ("127.0.0.1:50051",)
    """Servers to pass calls to, each as host and port; a name may stand for several of them."""
    inference: tuple[str, ...] = ()
    """HTTP ports of the servers for the Open Inference Protocol, to which /v2 leads, if any."""
    metrics: str = "127.0.0.1:9465"
    """Address and port of Envoy's own Prometheus metrics; none serves none."""
    live_metrics: str = NOWHERE
    """Host and port of a server's metrics, for the live view of the page at /; none shows none."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call from a browser, such as https://example.org; * for all."""
    max_request_bytes: int = 8_388_608
    """Bytes in the body of one JSON call; gRPC messages are bounded by the servers."""
    timeout: float = 60.0
    """Seconds that a single call may take in all, retries included; streams have no end."""
    retries: int = 2
    """Times that a single call is tried again on another server where one is lost."""
    health_seconds: float = 1.0
    """Seconds between health checks of each server."""
    rate_limit: int = 0
    """Calls that each client may make in a second, in the long run; 0 for any number."""
    rate_burst: int = 0
    """Calls that each client may make at once; 0 for as many as in a second."""
    api_keys: Path | None = None
    """File of API keys, a line each: the client's name, a blank, the key; callers need one."""
    jwt_keys: Path | None = None
    """JWKS file with the keys that sign bearer tokens; callers need such a token, or an API key."""
    jwt_issuer: str | None = None
    """Issuer that tokens must name."""
    jwt_audience: str | None = None
    """Audience that tokens must name."""
    tls_cert: Path | None = None
    """PEM file with the gateway's certificate chain; turns TLS on, together with the key."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key."""
    tls_client_ca: Path | None = None
    """PEM file with the authorities of client certificates, which then are required."""
    upstream_ca: Path | None = None
    """PEM file with the authorities of the servers' certificates; turns TLS to them on."""
    upstream_cert: Path | None = None
    """PEM file with the certificate that the gateway shows to the servers."""
    upstream_key: Path | None = None
    """PEM file with that certificate's private key."""
    upstream_name: str | None = None
    """Name in the servers' certificates, where it is not the host of each."""
    max_connections: int = 10_000
    """Callers' connections at a time."""
    trusted_proxies: int = 0
    """Proxies before the gateway, whose word (x-forwarded-for) for the client's address counts."""
    threads: int = 0
    """Threads of Envoy; 0 takes the processors that affinity and container quota allow."""
    access_log: bool = True
    """Log one line of JSON for each call, with its request id; never text."""
    log_level: EnvoyLogLevel = "warning"
    """Least severe level of Envoy's own log lines."""
    drain_seconds: float = 20.0
    """Seconds to finish calls under way after SIGTERM or SIGINT; what is left then is cut."""
    envoy: Path | None = None
    """Envoy's program; none takes the one that comes with polyhead-server[gateway]."""

    def __post_init__(self) -> None:
        problems = [
            *self._address_problems(),
            *self._number_problems(),
            *self._file_problems(),
            *self._pair_problems(),
        ]
        if problems:
            raise SettingsError(problems)

    def _address_problems(self) -> list[str]:
        problems = [f"listen: {fault}" for fault in _listen_faults(self.listen)]
        if self.metrics != NOWHERE:
            problems += [f"metrics: {fault}" for fault in _listen_faults(self.metrics)]
        if self.listen == self.metrics and port_of(self.listen) > 0:
            problems.append(f"metrics: {self.metrics} is the address for callers")
        if not self.upstream:
            problems.append("upstream: at least one server is needed")
        named = {"upstream": self.upstream, "inference": self.inference}
        if self.live_metrics != NOWHERE:
            named["live_metrics"] = (self.live_metrics,)
        problems += [
            f"{name}: {server!r} is not a host and a port, such as 10.0.0.7:50051"
            for name, servers in named.items()
            for server in servers
            if not host_of(server) or not 0 < port_of(server) <= _LAST_PORT
        ]
        return problems

    def _number_problems(self) -> list[str]:
        least = {
            "max_request_bytes": 1,
            "max_connections": 1,
            "retries": 0,
            "rate_limit": 0,
            "rate_burst": 0,
            "trusted_proxies": 0,
            "threads": 0,
            "drain_seconds": 0,
            "health_seconds": 0.05,
            "timeout": 0.001,
        }
        problems = [
            f"{name}: {getattr(self, name)} is less than {bound}"
            for name, bound in least.items()
            if not getattr(self, name) >= bound
        ]
        if self.rate_burst > 0 and self.rate_limit == 0:
            problems.append("rate_burst: needs rate_limit")
        return problems

    def _file_problems(self) -> list[str]:
        names = ("api_keys", "jwt_keys", "envoy")
        pems = ("tls_cert", "tls_key", "tls_client_ca")
        upstream = ("upstream_ca", "upstream_cert", "upstream_key")
        return [
            f"{name}: there is no file {file}"
            for name in (*names, *pems, *upstream)
            if (file := getattr(self, name)) is not None and not file.is_file()
        ]

    def _pair_problems(self) -> list[str]:
        problems = []
        for cert, key in (("tls_cert", "tls_key"), ("upstream_cert", "upstream_key")):
            if (getattr(self, cert) is None) != (getattr(self, key) is None):
                missing = cert if getattr(self, cert) is None else key
                problems.append(f"{missing}: certificate and key must be given together")
        needs = {
            "tls_client_ca": ("tls_cert", "tls_cert and tls_key"),
            "upstream_cert": ("upstream_ca", "upstream_ca"),
            "upstream_name": ("upstream_ca", "upstream_ca"),
            "jwt_issuer": ("jwt_keys", "jwt_keys"),
            "jwt_audience": ("jwt_keys", "jwt_keys"),
        }
        for name, (other, words) in needs.items():
            if getattr(self, name) is not None and getattr(self, other) is None:
                problems.append(f"{name}: needs {words}")
        return problems


def host_of(address: str) -> str:
    """The host of an address and port, without the brackets of IPv6."""
    host = address.rpartition(":")[0]
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def port_of(address: str) -> int:
    """The port of an address and port; -1 where there is none."""
    port = address.rpartition(":")[2]
    return int(port) if port.isascii() and port.isdigit() else -1


def _listen_faults(address: str) -> list[str]:
    faults = []
    try:
        ip_address(host_of(address))
    except ValueError:
        faults.append(f"{address!r} is not an IP address and a port, such as 0.0.0.0:8080")
    if not faults and not 0 <= port_of(address) <= _LAST_PORT:
        faults.append(f"{address!r} has no port from 0 to {_LAST_PORT}")
    return faults
