"""What a request passes on its way through Envoy, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_server.gateway.descriptors import DESCRIPTOR_SET, api_methods
from polyhead_server.gateway.envoy_types import (
    API_KEY_HEADER,
    Json,
    header_is,
    message,
    seconds,
    typed,
)
from polyhead_server.headers import CLIENT_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polyhead_server.gateway.settings import GatewaySettings

CLUSTER = "polyhead"
INFERENCE_CLUSTER = "inference"
HEALTH_PATH = "/healthz"

API_KEYS = "envoy.filters.http.api_key_auth"
JWT = "envoy.filters.http.jwt_authn"
RATE_LIMIT = "envoy.filters.http.local_ratelimit"
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"
CORS = "envoy.filters.http.cors"
BUFFER = "envoy.filters.http.buffer"
GRPC_STATS = "envoy.filters.http.grpc_stats"

_HTTP = "extensions.filters.http"
_TRANSCODER_TYPE = f"{_HTTP}.grpc_json_transcoder.v3.GrpcJsonTranscoder"

_LARGEST_RESPONSE = 1 << 30
"""Bytes of JSON that one call may be answered with; requests are what is bounded."""
_CLIENTS = 10_000
"""Clients whose rates are followed at a time."""
_ALWAYS = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}, "runtime_key": "always"}
_PROVIDER = "tokens"


def filters(settings: GatewaySettings, keys: Mapping[str, str], data: str) -> Sequence[Json]:
    """The filters.

    Args:
        settings: the settings.
        keys: API keys by client.
        data: the data folder as Envoy sees it.
    """
    first = [typed(CORS, f"{_HTTP}.cors.v3.Cors"), health()]
    checks = []
    if settings.api_keys is not None:
        checks.append(api_keys_filter(keys))
    if settings.jwt_keys is not None:
        checks.append(_jwt(settings))
    if settings.rate_limit:
        checks.append(_rate_limit(settings))
    return [
        *first,
        *checks,
        typed("envoy.filters.http.grpc_web", f"{_HTTP}.grpc_web.v3.GrpcWeb"),
        typed(BUFFER, f"{_HTTP}.buffer.v3.Buffer", max_request_bytes=settings.max_request_bytes),
        typed(TRANSCODER, _TRANSCODER_TYPE, **transcoder(settings, data)),
        _grpc_stats(),
        typed(
            "envoy.filters.http.router", f"{_HTTP}.router.v3.Router", suppress_envoy_headers=True
        ),
    ]


def transcoder(settings: GatewaySettings, data: str) -> Json:
    """JSON for every method that has an HTTP rule; gRPC passes as it is."""
    services = {method.service for method in api_methods() if method.transcoded}
    return {
        "proto_descriptor": f"{data}/{DESCRIPTOR_SET}",
        "services": sorted(services),
        "convert_grpc_status": True,
        "print_options": {"always_print_primitive_fields": True},
        "request_validation_options": {"reject_unknown_query_parameters": True},
        "max_request_body_size": settings.max_request_bytes,
        "max_response_body_size": _LARGEST_RESPONSE,
    }


def health() -> Json:
    """Answers the health path while a server is healthy, and not any more once draining."""
    return typed(
        "envoy.filters.http.health_check",
        f"{_HTTP}.health_check.v3.HealthCheck",
        pass_through_mode=False,
        headers=[header_is(":path", HEALTH_PATH)],
        cluster_min_healthy_percentages={CLUSTER: {"value": 1}},
    )


def api_keys_filter(keys: Mapping[str, str]) -> Json:
    """Lets in who has a key.

    Args:
        keys: API keys by client.
    """
    return typed(
        API_KEYS,
        f"{_HTTP}.api_key_auth.v3.ApiKeyAuth",
        credentials=[{"key": key, "client": client} for client, key in keys.items()],
        key_sources=[{"header": API_KEY_HEADER}],
        forwarding={"header": CLIENT_HEADER, "hide_credentials": True},
    )


def _jwt(settings: GatewaySettings) -> Json:
    provider: Json = {
        "local_jwks": {"filename": str(settings.jwt_keys)},
        "require_expiration": True,
        "claim_to_headers": [{"header_name": CLIENT_HEADER, "claim_name": "sub"}],
    }
    if settings.jwt_issuer is not None:
        provider["issuer"] = settings.jwt_issuer
    if settings.jwt_audience is not None:
        provider["audiences"] = [settings.jwt_audience]
    return typed(
        JWT,
        f"{_HTTP}.jwt_authn.v3.JwtAuthentication",
        providers={_PROVIDER: provider},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": _PROVIDER}}],
        bypass_cors_preflight=True,
    )


def _rate_limit(settings: GatewaySettings) -> Json:
    """A bucket for each client: by name where it is known, by address else."""
    bucket = {
        "max_tokens": settings.rate_burst or settings.rate_limit,
        "tokens_per_fill": settings.rate_limit,
        "fill_interval": seconds(1),
    }
    unlimited = {"max_tokens": 2**32 - 1, "tokens_per_fill": 2**32 - 1, "fill_interval": seconds(1)}
    by_name = [{"key": "client"}]
    by_address = [{"key": "header_match", "value": "unnamed"}, {"key": "remote_address"}]
    return typed(
        RATE_LIMIT,
        f"{_HTTP}.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="gateway",
        token_bucket=unlimited,
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        rate_limits=_rate_limit_keys(),
        descriptors=[
            {"entries": entries, "token_bucket": bucket} for entries in (by_name, by_address)
        ],
        max_dynamic_descriptors=_CLIENTS,
        always_consume_default_token_bucket=False,
        rate_limited_as_resource_exhausted=True,
        enable_retry_after_header=True,
    )


def _rate_limit_keys() -> Sequence[Json]:
    named = {"header_name": CLIENT_HEADER, "descriptor_key": "client"}
    unnamed = {
        "descriptor_value": "unnamed",
        "expect_match": False,
        "headers": [{"name": CLIENT_HEADER, "present_match": True}],
    }
    return [
        {"actions": [{"request_headers": named}]},
        {"actions": [{"header_value_match": unnamed}, {"remote_address": {}}]},
    ]


def _grpc_stats() -> Json:
    """Counts by method.

    Routes to methods that are not ours leave it out: callers can make up any number of names, and
    each would be kept for ever.
    """
    return typed(
        GRPC_STATS,
        f"{_HTTP}.grpc_stats.v3.FilterConfig",
        stats_for_all_methods=True,
        replace_dots_in_grpc_service_name=True,
        enable_upstream_stats=True,
    )


def switched_off(name: str) -> Json:
    """Configuration of a route that leaves a filter out."""
    return {name: message("config.route.v3.FilterConfig", disabled=True)}
