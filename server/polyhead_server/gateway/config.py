"""Envoy's whole configuration, from the settings alone. It is plain data: JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_server.gateway.envoy_types import (
    Json,
    message,
    seconds,
    socket_address,
    typed,
)
from polyhead_server.gateway.filters import filters, health
from polyhead_server.gateway.replies import reply_mappers
from polyhead_server.gateway.routes import route_configuration
from polyhead_server.gateway.settings import NOWHERE
from polyhead_server.gateway.upstreams import certificate, clusters
from polyhead_server.headers import CLIENT_HEADER, PROXY_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from polyhead_server.gateway.settings import GatewaySettings

LISTENER = "gateway"
METRICS_LISTENER = "metrics"
METRICS_PATH = "/metrics"

_ADMIN_CLUSTER = "admin"
_PING_SECONDS = 60.0
_PATIENCE_SECONDS = 20.0
"""What callers are pinged after, and for how long they may be silent then: as servers do, so that
a stream whose caller vanished ends, for a quiet one goes on for as long as it likes."""
_PROBES = 3
_HCM = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")

_ORIGINALS = ("x-envoy-original-path", "x-envoy-original-method")
"""Set where the gateway makes another path of one, and told in the log: not callers' to set."""
_ACCESS_LOG = {
    "event": "call",
    "level": "info",
    "timestamp": "%START_TIME(%Y-%m-%dT%H:%M:%S.%6fZ)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
    "client": f"%REQ({CLIENT_HEADER.upper()})%",
    "address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "verb": "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%",
    "path": "%PATH(NQ:ORIG_OR_PATH)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "grpc_status": "%GRPC_STATUS(CAMEL_STRING)%",
    "received_bytes": "%BYTES_RECEIVED%",
    "sent_bytes": "%BYTES_SENT%",
    "milliseconds": "%DURATION%",
    "server": "%UPSTREAM_HOST%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "flags": "%RESPONSE_FLAGS%",
}


def envoy_config(
    settings: GatewaySettings, keys: Mapping[str, str], *, data: str, admin: str
) -> Json:
    """The configuration.

    Args:
        settings: the settings.
        keys: API keys by client.
        data: folder with the descriptor set and the pages, as Envoy sees it.
        admin: path of the socket on which Envoy is administered.
    """
    listeners = [_listener(settings, keys, data)]
    found = list(clusters(settings))
    if settings.metrics != NOWHERE:
        listeners.append(_metrics_listener(settings.metrics))
        found.append(_admin_cluster(admin))
    log = {"timestamp": "%Y-%m-%dT%T.%fZ", "level": "%l", "event": "envoy", "message": "%j"}
    return {
        "admin": {"address": {"pipe": {"path": admin, "mode": 0o600}}},
        "application_log_config": {"log_format": {"json_format": log}},
        "overload_manager": {"resource_monitors": [_connection_bound(settings)]},
        "static_resources": {"listeners": listeners, "clusters": found},
    }


def _connection_bound(settings: GatewaySettings) -> Json:
    return typed(
        "envoy.resource_monitors.global_downstream_max_connections",
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=settings.max_connections,
    )


def _listener(settings: GatewaySettings, keys: Mapping[str, str], data: str) -> Json:
    chain: Json = {"filters": [_connection_manager(settings, keys, data)]}
    if settings.tls_cert is not None:
        chain["transport_socket"] = _tls(settings, settings.tls_cert)
    return {
        "name": LISTENER,
        "address": socket_address(settings.listen),
        # A second gateway on the same port must fail, not share it in silence.
        "enable_reuse_port": False,
        "tcp_keepalive": _tcp_keepalive(),
        "filter_chains": [chain],
    }


def _tcp_keepalive() -> Json:
    """The same for HTTP/1.1, which has no pings: the kernel asks."""
    return {
        "keepalive_time": int(_PING_SECONDS),
        "keepalive_interval": round(_PATIENCE_SECONDS / _PROBES),
        "keepalive_probes": _PROBES,
    }


def _http2() -> Json:
    ping = {"interval": seconds(_PING_SECONDS), "timeout": seconds(_PATIENCE_SECONDS)}
    return {"max_concurrent_streams": 1024, "connection_keepalive": ping}


def _connection_manager(settings: GatewaySettings, keys: Mapping[str, str], data: str) -> Json:
    uuid = message("extensions.request_id.uuid.v3.UuidRequestIdConfig", pack_trace_reason=False)
    return typed(
        "envoy.filters.network.http_connection_manager",
        _HCM,
        stat_prefix=LISTENER,
        route_config=route_configuration(settings, data),
        http_filters=filters(settings, keys, data),
        local_reply_config={"mappers": reply_mappers()},
        access_log=[_access_log()] if settings.access_log else [],
        early_header_mutation_extensions=[_forget(CLIENT_HEADER, PROXY_HEADER, *_ORIGINALS)],
        request_id_extension={"typed_config": uuid},
        preserve_external_request_id=True,
        always_set_request_id_in_response=True,
        use_remote_address=True,
        xff_num_trusted_hops=settings.trusted_proxies,
        normalize_path=True,
        path_with_escaped_slashes_action="KEEP_UNCHANGED",
        request_headers_timeout=seconds(10),
        stream_idle_timeout=seconds(300),
        common_http_protocol_options={"idle_timeout": seconds(600)},
        http2_protocol_options=_http2(),
    )


def _access_log() -> Json:
    return typed(
        "envoy.access_loggers.stderr",
        "extensions.access_loggers.stream.v3.StderrAccessLog",
        log_format={"json_format": _ACCESS_LOG},
    ) | {"filter": {"not_health_check_filter": {}}}


def _forget(*headers: str) -> Json:
    """Takes headers away that callers must not set."""
    return typed(
        "envoy.http.early_header_mutation.header_mutation",
        "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        mutations=[{"remove": header} for header in headers],
    )


def _tls(settings: GatewaySettings, cert: Path) -> Json:
    context: Json = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificates": [certificate(cert, settings.tls_key)],
    }
    if settings.tls_client_ca is not None:
        context["validation_context"] = {"trusted_ca": {"filename": str(settings.tls_client_ca)}}
    return typed(
        "envoy.transport_sockets.tls",
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context=context,
        require_client_certificate=settings.tls_client_ca is not None,
    )


def _metrics_listener(address: str) -> Json:
    """Shows the metrics, and nothing else, of Envoy's administration; and its health."""
    route = {
        "match": {"path": METRICS_PATH},
        "route": {"cluster": _ADMIN_CLUSTER, "path_rewrite": "/stats/prometheus?usedonly"},
    }
    hosts = [{"name": METRICS_LISTENER, "domains": ["*"], "routes": [route]}]
    manager = typed(
        "envoy.filters.network.http_connection_manager",
        _HCM,
        stat_prefix=METRICS_LISTENER,
        route_config={"name": METRICS_LISTENER, "virtual_hosts": hosts},
        http_filters=[health(), _ROUTER],
    )
    return {
        "name": METRICS_LISTENER,
        "address": socket_address(address),
        "enable_reuse_port": False,
        "ignore_global_conn_limit": True,  # callers must not keep probes and Prometheus out
        "filter_chains": [{"filters": [manager]}],
    }


def _admin_cluster(admin: str) -> Json:
    endpoint = {"endpoint": {"address": {"pipe": {"path": admin}}}}
    assignment = {"cluster_name": _ADMIN_CLUSTER, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {
        "name": _ADMIN_CLUSTER,
        "type": "STATIC",
        "connect_timeout": seconds(1),
        "load_assignment": assignment,
    }
