"""The servers behind the gateway: how they are found, watched, and spoken to."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from polyhead_server.gateway.envoy_types import Json, message, seconds, socket_address
from polyhead_server.gateway.filters import CLUSTER, INFERENCE_CLUSTER
from polyhead_server.gateway.live import CLUSTER as LIVE_CLUSTER
from polyhead_server.gateway.settings import NOWHERE, host_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from polyhead_server.gateway.settings import GatewaySettings

_INFERENCE_HEALTH = "/v2/health/ready"
_UNBOUNDED = 2**32 - 1
_HEALTH_TIMEOUT_SECONDS = 1.0
_PING_SECONDS = 2.0
"""Between pings to a server, and for its answer: what is silent longer is cut off, its calls tried
elsewhere. Servers refuse more than one ping in a second."""
_DNS_SECONDS = 2.0
"""Between looks for servers that came or went, where they stand behind a name."""


def clusters(settings: GatewaySettings) -> Iterator[Json]:
    """The servers' gRPC ports, and what else there is: HTTP ports, the metrics of one."""
    grpc = _cluster(settings, CLUSTER, settings.upstream, ["h2"])
    grpc["health_checks"][0]["grpc_health_check"] = {}
    grpc["typed_extension_protocol_options"] = _http2()
    yield grpc
    if settings.inference:
        http = _cluster(settings, INFERENCE_CLUSTER, settings.inference, ["http/1.1"])
        http["health_checks"][0]["http_health_check"] = {"path": _INFERENCE_HEALTH}
        # There are no pings: who does not answer checks has its calls taken away by them.
        http["close_connections_on_host_health_failure"] = True
        yield http
    if settings.live_metrics != NOWHERE:
        yield _place(LIVE_CLUSTER, (settings.live_metrics,))


def _place(name: str, servers: Sequence[str]) -> Json:
    """Where servers are, and nothing more."""
    return {
        "name": name,
        "type": "STATIC" if all(map(_is_ip, servers)) else "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "dns_refresh_rate": seconds(_DNS_SECONDS),
        "connect_timeout": seconds(1),
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [_endpoint(server) for server in servers]}],
        },
    }


def _cluster(
    settings: GatewaySettings, name: str, servers: Sequence[str], protocols: Sequence[str]
) -> Json:
    found = _place(name, servers) | {
        "lb_policy": "LEAST_REQUEST",
        # Of two, a server that hangs would be the best in one draw of sixteen, of four.
        "least_request_lb_config": {"choice_count": 4},
        # Never to servers known to be down, even where most of them are.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "health_checks": [_health_check(settings)],
        # What a name leads to no more has no new calls, however healthy it is.
        "ignore_health_on_host_removal": True,
        "outlier_detection": _outliers(settings),
        "circuit_breakers": {"thresholds": [_bounds()]},
        "per_connection_buffer_limit_bytes": 8 << 20,
    }
    if settings.upstream_ca is not None:
        found["transport_socket"] = _tls(settings, settings.upstream_ca, protocols)
    return found


def _is_ip(server: str) -> bool:
    try:
        ip_address(host_of(server))
    except ValueError:
        return False
    return True


def _endpoint(server: str) -> Json:
    return {"endpoint": {"address": socket_address(server), "hostname": host_of(server)}}


def _health_check(settings: GatewaySettings) -> Json:
    interval = seconds(settings.health_seconds)
    return {
        "timeout": seconds(_HEALTH_TIMEOUT_SECONDS),
        "interval": interval,
        "no_traffic_interval": interval,
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
    }


def _outliers(settings: GatewaySettings) -> Json:
    """Servers that answer checks but not calls are left alone for a while.

    Callers bring about errors, too: deadlines that are too short, headers at which a server resets
    the call. One caller must not take servers from the others, so what counts is not a few errors
    in a row, but that nearly all of many calls fail, be it with a status or in breaking off.
    """
    off = (
        "enforcing_consecutive_5xx",
        "enforcing_consecutive_gateway_failure",
        "enforcing_consecutive_local_origin_failure",
        "enforcing_success_rate",
        "enforcing_local_origin_success_rate",
    )
    return {
        **dict.fromkeys(off, 0),
        "split_external_local_origin_errors": True,
        "enforcing_failure_percentage": 100,
        "enforcing_failure_percentage_local_origin": 100,
        "failure_percentage_threshold": 90,
        "failure_percentage_minimum_hosts": 2,
        "failure_percentage_request_volume": 20,
        "interval": seconds(max(1.0, settings.health_seconds)),
        "base_ejection_time": seconds(5),
        "max_ejection_time": seconds(60),
        "max_ejection_percent": 50,
        "always_eject_one_host": False,
        # It answers checks: these must not bring it back.
        "successful_active_health_check_uneject_host": False,
    }


def _bounds() -> Json:
    """Calls are bounded by the servers, which answer at once.

    Retries are for lost servers only, never for busy ones: all calls that were under way to one
    that falls silent fail at the same moment, and each of them is to have its chance.
    """
    return {
        "max_connections": _UNBOUNDED,
        "max_pending_requests": _UNBOUNDED,
        "max_requests": _UNBOUNDED,
        "retry_budget": {
            "budget_percent": {"value": 100.0},
            "min_retry_concurrency": 1024,
        },
    }


def _http2() -> Json:
    options = "extensions.upstreams.http.v3.HttpProtocolOptions"
    ping = {"interval": seconds(_PING_SECONDS), "timeout": seconds(_PING_SECONDS)}
    http2 = {"connection_keepalive": ping}
    return {
        f"envoy.{options}": message(options, explicit_http_config={"http2_protocol_options": http2})
    }


def _tls(settings: GatewaySettings, authorities: Path, protocols: Sequence[str]) -> Json:
    trusted: Json = {"trusted_ca": {"filename": str(authorities)}}
    context: Json = {
        "alpn_protocols": protocols,
        "validation_context": trusted,
        # Envoy as a client stops at 1.2 unless told; servers that ask for certificates want 1.3.
        "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
    }
    names: Json = {"auto_host_sni": True, "auto_sni_san_validation": True}
    if settings.upstream_name is not None:
        names = {"sni": settings.upstream_name}
        trusted["match_typed_subject_alt_names"] = [
            {"san_type": "DNS", "matcher": {"exact": settings.upstream_name}}
        ]
    if settings.upstream_cert is not None:
        context["tls_certificates"] = [certificate(settings.upstream_cert, settings.upstream_key)]
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": message(
            "extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            common_tls_context=context,
            **names,
        ),
    }


def certificate(cert: Path, key: Path | None) -> Json:
    """A certificate and its key, from files."""
    return {
        "certificate_chain": {"filename": str(cert)},
        "private_key": {"filename": str(key)},
    }
