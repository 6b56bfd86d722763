"""A server's Prometheus metrics for the playground's live view, where that is turned on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polyhead_server.gateway.envoy_types import Json, header_is, seconds, set_header
from polyhead_server.gateway.settings import NOWHERE

if TYPE_CHECKING:
    from polyhead_server.gateway.settings import GatewaySettings

CLUSTER = "live_metrics"
PATH = "/playground/metrics"

_TIMEOUT_SECONDS = 3.0


def live_route(settings: GatewaySettings) -> Json:
    """Leads to the metrics; an empty answer says that there are none."""
    route: Json = {
        "match": {"path": PATH, "headers": [header_is(":method", "GET")]},
        "response_headers_to_add": [set_header("cache-control", "no-store")],
    }
    if settings.live_metrics == NOWHERE:
        return route | {"direct_response": {"status": 204}}
    action = {
        "cluster": CLUSTER,
        "timeout": seconds(_TIMEOUT_SECONDS),
        "path_rewrite": "/metrics",
    }
    return route | {"route": action}
