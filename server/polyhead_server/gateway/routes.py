"""Which path leads where: pages, methods, and a clear answer for everything else."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from polyhead_server.gateway import filters
from polyhead_server.gateway.descriptors import api_methods
from polyhead_server.gateway.envoy_types import (
    API_KEY_HEADER,
    Json,
    add_header,
    header_begins,
    header_is,
    message,
    seconds,
    set_header,
)
from polyhead_server.gateway.live import live_route
from polyhead_server.gateway.pages import pages
from polyhead_server.headers import PROXY, PROXY_FOR_JSON, PROXY_HEADER, REQUEST_ID_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyhead_server.gateway.pages import Page
    from polyhead_server.gateway.settings import GatewaySettings

_HEALTH_SERVICE = "/grpc.health.v1.Health/"
_TRANSCODED = "x-envoy-original-path"
"""The transcoder's mark."""
_OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
# Cancelled: so a server that shuts down answers calls that it had not begun.
_RETRY_ON = "unavailable,cancelled,connect-failure,refused-stream,reset"
_HTTP_RETRY_ON = "retriable-status-codes,connect-failure,refused-stream,reset"
_ROOM_FOR_FRAMES = 65_536
"""Bytes that a message in protobuf may need beyond its JSON."""

_PAGE_HEADERS = {
    "cache-control": "no-cache",
    # No markup from scripts, either: the pages put everything in as text.
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_ALLOWED_HEADERS = (
    "authorization content-type grpc-timeout x-accept-content-transfer-encoding "
    f"x-accept-response-streaming {API_KEY_HEADER} x-grpc-web {REQUEST_ID_HEADER} x-user-agent "
    "traceparent tracestate"
)
_EXPOSED_HEADERS = (
    f"grpc-message grpc-status grpc-status-details-bin retry-after {REQUEST_ID_HEADER}"
)


def route_configuration(settings: GatewaySettings, data: str) -> Json:
    """All routes.

    Args:
        settings: the settings.
        data: the data folder as Envoy sees it.
    """
    largest = max((page.size for page in pages()), default=0)
    return {
        "name": "gateway",
        "max_direct_response_body_size_bytes": max(4096, 2 * largest),
        "virtual_hosts": [
            {
                "name": "gateway",
                "domains": ["*"],
                "routes": list(_routes(settings, data)),
                "request_headers_to_add": [add_header(PROXY_HEADER, PROXY)],
                "request_body_buffer_limit": settings.max_request_bytes + _ROOM_FOR_FRAMES,
                **_cors(settings),
            }
        ],
    }


def _routes(settings: GatewaySettings, data: str) -> Iterator[Json]:
    for answer in (_malformed_timeout(), *(_page(page, data) for page in pages())):
        for route in _readable(settings, answer):
            yield _open(settings, route)
    yield _open(settings, _call(settings, {"prefix": _HEALTH_SERVICE}, streams=True))
    if settings.inference:
        yield from _inference_routes(settings)
    if settings.cors_origins:
        yield from _guarded(settings, _preflight())
    own = [live_route(settings)]
    refusals = (one for refusal in _refusals() for one in _readable(settings, refusal))
    for route in itertools.chain(own, _method_routes(settings), _json_routes(), refusals):
        yield from _guarded(settings, route)


def _page(page: Page, data: str) -> Json:
    headers = _PAGE_HEADERS | {"content-type": page.content_type}
    reading = {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}
    return {
        "match": {"path": page.path, "headers": [reading]},
        "direct_response": {"status": 200, "body": {"filename": f"{data}/{page.file}"}},
        "response_headers_to_add": [set_header(name, text) for name, text in headers.items()],
    }


def _malformed_timeout() -> Json:
    """A deadline that is none: servers would reset the call, which says nothing to its caller."""
    valid = {"safe_regex": {"regex": r"\d{1,8}[HMSmun]"}}
    header = {"name": "grpc-timeout", "string_match": valid, "invert_match": True}
    text = "header grpc-timeout must be up to 8 digits and one of H, M, S, m, u, n"
    refusal = _refusal({"prefix": "/", "headers": [header]}, 400, text)
    return _without(refusal, filters.TRANSCODER)


def _method_routes(settings: GatewaySettings) -> Iterator[Json]:
    """What gRPC, gRPC-Web and the transcoder ask for."""
    for method in api_methods():
        if method.streams and method.transcoded:
            yield _json_stream(settings, method.path)
        yield _call(settings, {"path": method.path}, streams=method.streams)
    yield _without(_call(settings, {"prefix": "/"}, streams=True), filters.GRPC_STATS)


def _json_stream(settings: GatewaySettings, path: str) -> Json:
    """A stream that the transcoder made."""
    route = _call(settings, {"path": path}, streams=True)
    route["match"]["headers"].append({"name": _TRANSCODED, "present_match": True})
    return route | {"request_headers_to_add": [set_header(PROXY_HEADER, PROXY_FOR_JSON)]}


def _inference_routes(settings: GatewaySettings) -> Iterator[Json]:
    action: Json = {
        "cluster": filters.INFERENCE_CLUSTER,
        "timeout": seconds(settings.timeout),
        "idle_timeout": seconds(settings.timeout),
    }
    if settings.retries:
        action["retry_policy"] = _retries(settings, _HTTP_RETRY_ON, retriable_status_codes=[503])
    for path in _OPEN_PATHS:
        yield _open(settings, {"match": {"path": path}, "route": action})
    under = {"match": {"path_separated_prefix": "/v2"}, "route": action}
    yield from _guarded(settings, _without(under, filters.GRPC_STATS))


def _call(settings: GatewaySettings, match: Json, *, streams: bool) -> Json:
    limit = 0.0 if streams else settings.timeout
    action: Json = {
        "cluster": filters.CLUSTER,
        "timeout": seconds(limit),
        "max_stream_duration": {"grpc_timeout_header_max": seconds(limit)},
        # A stream may be quiet for as long as it likes, and a call takes what time it is given.
        "idle_timeout": seconds(limit),
    }
    if not streams and settings.retries:
        action["retry_policy"] = _retries(settings, _RETRY_ON)
    grpc = header_begins("content-type", "application/grpc")
    # JSON is read to its end before a server hears of it, streams too: a mistake in it can then
    # still be told with a status. gRPC itself flows.
    return _without({"match": {**match, "headers": [grpc]}, "route": action}, filters.BUFFER)


def _retries(settings: GatewaySettings, retry_on: str, **more: Any) -> Json:
    elsewhere = "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "retry_on": retry_on,
        "num_retries": settings.retries,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": message(elsewhere),
            }
        ],
        # A dead server has no calls under way, so it is the one that is picked until checks find it
        # out; pick anew. Of two it is picked in 15 draws of 16: in all of 512 never.
        "host_selection_retry_max_attempts": 512,
        "retry_back_off": {"base_interval": seconds(0.01), "max_interval": seconds(0.25)},
        **more,
    }


def _json_routes() -> Iterator[Json]:
    """Calls in JSON, until the transcoder makes gRPC of them and they find their method's route."""
    for method in filter(lambda method: method.transcoded, api_methods()):
        for binding in method.bindings:
            match = _matches(binding.path) | {"headers": [header_is(":method", binding.verb)]}
            # A server resets a call whose deadline has passed; this one tells first.
            timeout = {"grpc_timeout_header_max": seconds(0)}
            yield {
                "match": match,
                "route": {"cluster": filters.CLUSTER, "max_stream_duration": timeout},
            }


def _preflight() -> Json:
    """Asked by browsers before calls to other origins; answered before keys are looked at.

    What has no origin is no such question, and treated like all else.
    """
    asking = {"name": "access-control-request-method", "present_match": True}
    headers = [header_is(":method", "OPTIONS"), asking]
    asked = {"match": {"prefix": "/", "headers": headers}, "route": {"cluster": filters.CLUSTER}}
    return _without(asked, filters.GRPC_STATS)


def _refusals() -> Iterator[Json]:
    """What is left after pages and methods: known paths with another verb, and unknown paths."""
    verbs: dict[str, set[str]] = {page.path: {"GET", "HEAD"} for page in pages()}
    for method in filter(lambda method: method.transcoded, api_methods()):
        for binding in method.bindings:
            verbs.setdefault(binding.path, set()).add(binding.verb)
    for path in sorted(verbs, key=lambda path: ("{" in path, path)):
        refusal = _refusal(_matches(path), 405, "this path has other methods")
        refusal["response_headers_to_add"] = [set_header("allow", ", ".join(sorted(verbs[path])))]
        yield refusal
    nothing = _refusal({"prefix": "/"}, 404, "there is nothing at this path")
    yield _without(nothing, filters.GRPC_STATS)


def _refusal(match: Json, status: int, text: str) -> Json:
    body = {"inline_string": text}
    return {"match": match, "direct_response": {"status": status, "body": body}}


def _matches(path: str) -> Json:
    if "{" not in path:
        return {"path": path}
    parts = re.split(r"\{[^}]*\}", path)
    return {"safe_regex": {"regex": "[^/]+".join(map(re.escape, parts))}}


def _open(settings: GatewaySettings, route: Json) -> Json:
    """The route, for everybody: no key, no token, no limit.

    Nor statistics: names of methods that strangers make up would be kept for good.
    """
    checks = {
        filters.API_KEYS: settings.api_keys is not None,
        filters.JWT: settings.jwt_keys is not None,
        filters.RATE_LIMIT: bool(settings.rate_limit),
    }
    return _without(route, filters.GRPC_STATS, *(name for name, there in checks.items() if there))


def _guarded(settings: GatewaySettings, route: Json) -> Iterator[Json]:
    """The route; where a key or a token will do, once for callers with a key, once for others."""
    if settings.api_keys is None or settings.jwt_keys is None:
        yield route
        return
    match = route["match"]
    with_key = {"name": API_KEY_HEADER, "present_match": True}
    keyed = {**route, "match": {**match, "headers": [*match.get("headers", []), with_key]}}
    yield _without(keyed, filters.JWT)
    yield _without(route, filters.API_KEYS)


def _readable(settings: GatewaySettings, answer: Json) -> Iterator[Json]:
    """An answer of Envoy's own; for pages of other origins that may call, with leave to read it.

    Envoy's filter for CORS leaves such answers out.
    """
    if settings.cors_origins:
        origins = "|".join(map(re.escape, settings.cors_origins))
        allowed: Json = {"present_match": True}
        if "*" not in settings.cors_origins:
            allowed = {"string_match": {"safe_regex": {"regex": origins}}}
        match = answer["match"]
        from_page = [*match.get("headers", []), {"name": "origin", **allowed}]
        leave = [
            set_header("access-control-allow-origin", "%REQ(origin)%"),
            set_header("access-control-expose-headers", _listed(_EXPOSED_HEADERS)),
        ]
        yield {
            **answer,
            "match": {**match, "headers": from_page},
            "response_headers_to_add": [*answer.get("response_headers_to_add", []), *leave],
        }
    yield answer


def _listed(names: str) -> str:
    return ", ".join(names.split())


def _without(route: Json, *names: str) -> Json:
    """The route, passing by some filters."""
    off = dict(route.get("typed_per_filter_config", {}))
    for name in names:
        off |= filters.switched_off(name)
    return {**route, "typed_per_filter_config": off} if off else route


def _cors(settings: GatewaySettings) -> Json:
    if not settings.cors_origins:
        return {}
    everybody = [{"safe_regex": {"regex": ".*"}}]
    named = [{"exact": origin} for origin in settings.cors_origins]
    policy = message(
        "extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=everybody if "*" in settings.cors_origins else named,
        allow_methods="GET, POST",
        allow_headers=_listed(_ALLOWED_HEADERS),
        expose_headers=_listed(_EXPOSED_HEADERS),
        max_age="86400",
        forward_not_matching_preflights=False,
    )
    return {"typed_per_filter_config": {filters.CORS: policy}}
