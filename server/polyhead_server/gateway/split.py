"""Takes what files hold out of the configuration, into files of its own that Envoy reads anew.

Certificates become secrets (SDS), checks of keys and tokens become discovered filters (ECDS). Both
change below a listener that stays as it is, so that connections and calls go on; a new listener
would drain them, and cut what is left.
"""

from __future__ import annotations

import base64
import copy
from pathlib import Path
from typing import Any

from polyhead_server.gateway.envoy_types import Json, message
from polyhead_server.gateway.filters import API_KEYS, JWT
from polyhead_server.security.watched import read_bytes

CALLERS = "callers"
SERVERS = "servers"

Resources = dict[str, Json]
"""What was taken out, by name."""

_MATERIAL = "extensions.transport_sockets.tls.v3.Secret"
_FILTER = "config.core.v3.TypedExtensionConfig"
# Envoy wants a name before it reads secrets; nobody else hears it.
_NODE = {"id": "polyhead-gateway", "cluster": "polyhead-gateway"}


def split(config: Json, folder: Path) -> tuple[Json, Resources]:
    """What is left of a configuration, and what was taken out.

    Args:
        config: the whole configuration; stays as it is.
        folder: where Envoy is to find what was taken out, in files named by `file_of`.
    """
    rest, found = copy.deepcopy(config) | {"node": _NODE}, Resources()
    static = rest["static_resources"]
    chain = static["listeners"][0]["filter_chains"][0]
    manager = chain["filters"][0]["typed_config"]
    manager["http_filters"] = [_filter(one, folder, found) for one in manager["http_filters"]]
    _secrets(chain, CALLERS, folder, found)
    for cluster in static["clusters"]:
        _secrets(cluster, SERVERS, folder, found)
    return rest, found


def file_of(name: str, folder: Path) -> Path:
    """Where a resource is."""
    return folder / f"{name}.json"


def filter_resource(one: Json) -> Json:
    """The resource that a filter becomes."""
    return message(_FILTER, **one)


def inlined(resource: Json) -> Json:
    """A resource with the contents of the files that it names.

    Raises:
        StartError: one cannot be read.
    """
    found: Json = _inlined(resource)
    return found


def _inlined(value: Any) -> Any:
    if isinstance(value, list):
        return [_inlined(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"filename"}:
        content = read_bytes(Path(value["filename"]))
        return {"inline_bytes": base64.b64encode(content).decode()}
    return {name: _inlined(one) for name, one in value.items()}


def _filter(one: Json, folder: Path, found: Resources) -> Json:
    name = one["name"]
    if name not in {API_KEYS, JWT}:
        return one
    found[name] = filter_resource(one)
    kinds = [one["typed_config"]["@type"]]
    # Until there is a configuration, and without one, calls are refused with 500.
    discovery = {"config_source": _source(name, folder), "type_urls": kinds}
    return {"name": name, "config_discovery": discovery}


def _secrets(owner: Json, side: str, folder: Path, found: Resources) -> None:
    """Take certificate and authorities out of what speaks TLS."""
    if "transport_socket" not in owner:
        return
    context = owner["transport_socket"]["typed_config"]["common_tls_context"]
    if "tls_certificates" in context:
        (pair,) = context.pop("tls_certificates")
        name = f"{side}-certificate"
        found[name] = message(_MATERIAL, name=name, tls_certificate=pair)
        context["tls_certificate_sds_secret_configs"] = [_secret(name, folder)]
    if "validation_context" in context:
        name = f"{side}-authorities"
        trusted = context.pop("validation_context")
        found[name] = message(_MATERIAL, name=name, validation_context=trusted)
        context["validation_context_sds_secret_config"] = _secret(name, folder)


def _secret(name: str, folder: Path) -> Json:
    return {"name": name, "sds_config": _source(name, folder)}


def _source(name: str, folder: Path) -> Json:
    path = {"path": str(file_of(name, folder))}
    return {"path_config_source": path, "resource_api_version": "V3"}
