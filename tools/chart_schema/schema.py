"""The shape of values.yaml, nothing else allowed.

Settings of server and gateway come from their own code, so that the chart knows each of them and no
other.
"""

from __future__ import annotations

import json
import types
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from polyhead_server import options

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "polyhead"

FIXED = {
    "server": {
        *("host", "port", "metrics_host", "metrics_port", "inference_http_port", "bundle"),
        *("drain_seconds", "tls_cert", "tls_key", "tls_client_ca", "token_file"),
    },
    "gateway": {
        *("listen", "upstream", "inference", "metrics", "drain_seconds", "api_keys", "jwt_keys"),
        *("tls_cert", "tls_key", "tls_client_ca", "envoy"),
        *("upstream_ca", "upstream_cert", "upstream_key", "upstream_name"),
    },
}
"""Settings that the chart itself gives, from other values."""

Schema = dict[str, Any]

_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
_STRINGS: Schema = {"type": "array", "items": {"type": "string", "minLength": 1}}
_SPREAD: Schema = {"enum": ["ScheduleAnyway", "DoNotSchedule", ""]}
_BUDGET: Schema = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+%$"}]
}
_ANY_OBJECT: Schema = {"type": "object"}
_GIVEN: Schema = {"minLength": 1}

_BY_NAME: dict[str, Schema] = {
    "affinity": _ANY_OBJECT,
    "annotations": _TEXTS,
    "extraEgress": _OBJECTS,
    "extraEnv": _OBJECTS,
    "gatewayFrom": _OBJECTS,
    "hosts": _SPREAD,
    "imagePullSecrets": _STRINGS,
    "keys": {
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z0-9._@-]{1,64}$"},
        "additionalProperties": {"type": "string", "pattern": "^[!-~]{16,256}$"},
    },
    "labels": _TEXTS,
    "loadBalancerSourceRanges": _STRINGS,
    "maxUnavailable": _BUDGET,
    "metricsFrom": _OBJECTS,
    "nodeSelector": _TEXTS,
    "podAnnotations": _TEXTS,
    "podLabels": _TEXTS,
    "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "resources": _ANY_OBJECT,
    "serverFrom": _OBJECTS,
    "serviceAnnotations": _TEXTS,
    "tokens": _STRINGS,
    "tolerations": _OBJECTS,
    "zones": _SPREAD,
}
"""What holds for values of a name, wherever they are."""

_BY_PATH: dict[str, Schema] = {
    "bundle.source": {"enum": ["image", "volume", "download"]},
    "bundle.download.sha256": {"type": "string", "pattern": "^([0-9a-f]{64})?$"},
    "server.autoscaling.kind": {"enum": ["none", "hpa", "keda"]},
    "server.image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "gateway.image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "gateway.service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
}
_LEAST = {"minReplicas": 1, "maxReplicas": 1, "periodSeconds": 1, "failureThreshold": 1}


def chart_schema(values: dict[str, Any]) -> Schema:
    """The schema of the chart whose defaults these are."""
    schema = _object(values, "")
    schema["properties"]["global"] = _ANY_OBJECT  # Helm's own
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart polyhead; made by tools/chart_schema",
        **schema,
        "allOf": _conditions(),
    }


def _object(values: dict[str, Any], path: str) -> Schema:
    properties = {
        name: _value(value, name, f"{path}.{name}".removeprefix("."))
        for name, value in values.items()
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _value(value: object, name: str, path: str) -> Schema:
    if name == "settings":
        return _settings(path.partition(".")[0])
    if path in _BY_PATH or name in _BY_NAME:
        return _BY_PATH.get(path) or _BY_NAME[name]
    if isinstance(value, dict):
        return _object(value, path)
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, str):
        return {"type": "string"}
    kind = "number" if isinstance(value, float) or name == "drainSeconds" else "integer"
    return {"type": kind, "minimum": _LEAST.get(name, 0)}


def _settings(component: str) -> Schema:
    found = options.SERVE if component == "server" else options.GATEWAY
    hints, texts = get_type_hints(found.kind), found.help_texts()
    properties = {
        field.name: {"description": texts[field.name], **_setting(hints[field.name])}
        for field in fields(found.kind)
        if field.name not in FIXED[component]
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _setting(hint: Any) -> Schema:
    if get_origin(hint) is Literal:
        return {"enum": list(get_args(hint))}
    if get_origin(hint) is tuple:
        return _STRINGS
    if get_origin(hint) in (types.UnionType, Union):
        return {"anyOf": [_setting(one) for one in get_args(hint) if one is not types.NoneType]}
    kinds = {int: "integer", float: "number", bool: "boolean"}
    return {"type": kinds.get(hint, "string")}


def _conditions() -> list[Schema]:
    """What one value asks of others."""
    address = _at("server.autoscaling.prometheusAddress", _GIVEN)
    by_delay = _at("server.autoscaling.queueDelaySeconds", {"exclusiveMinimum": 0})
    by_cpu = _at("server.autoscaling.cpuPercent", {"exclusiveMinimum": 0})
    scaled = _at("server.autoscaling.kind", {"enum": ["hpa", "keda"]})
    keda = _at("server.autoscaling.kind", {"const": "keda"})
    url = _at("bundle.download.url", _GIVEN)
    url_secret = _at("bundle.download.urlSecret.name", _GIVEN)
    mutual = _at("tls.requireClientCertificates", {"const": True})
    gateway = _at("gateway.enabled", {"const": True})
    tokens = _given("auth", "tokens", {"minItems": 1})
    web_tokens = _given("gateway.jwt", "jwks", _GIVEN)
    return [
        _if(_at("bundle.source", {"const": "volume"}), _at("bundle.claimName", _GIVEN)),
        _if(
            _at("bundle.source", {"const": "download"}),
            _at("bundle.download.sha256", _GIVEN),
            {"anyOf": [url, url_secret]},
        ),
        _if(scaled, {"anyOf": [by_delay, by_cpu]}),
        _if({"allOf": [keda, by_delay]}, address),
        *(
            _if(_at(f"{tls}.enabled", {"const": True}), _pems(tls))
            for tls in ("tls", "gateway.tls")
        ),
        *(
            _if(
                _at(f"{tls}.requireClientCertificates", {"const": True}),
                _at(f"{tls}.enabled", {"const": True}),
            )
            for tls in ("tls", "gateway.tls")
        ),
        _if({"allOf": [mutual, gateway]}, _at("gateway.upstreamSecret", _GIVEN)),
        _if(_at("gateway.upstreamSecret", _GIVEN), _at("tls.enabled", {"const": True})),
        # The gateway keeps a token that it checked: callers with API keys alone reach the servers.
        _if(
            {"allOf": [gateway, tokens, web_tokens]},
            _given("gateway.apiKeys", "keys", {"minProperties": 1}),
        ),
    ]


def _given(path: str, name: str, schema: Schema) -> Schema:
    """That there is a secret, or what one is made of."""
    return {"anyOf": [_at(f"{path}.existingSecret", _GIVEN), _at(f"{path}.{name}", schema)]}


def _pems(tls: str) -> Schema:
    texts = [_at(f"{tls}.{name}", _GIVEN) for name in ("certificate", "key", "ca")]
    return {"anyOf": [_at(f"{tls}.existingSecret", _GIVEN), {"allOf": texts}]}


def _if(condition: Schema, *needed: Schema) -> Schema:
    return {"if": condition, "then": {"allOf": list(needed)}}


def _at(path: str, schema: Schema) -> Schema:
    """That there is a value at a path, which is so."""
    for name in reversed(path.split(".")):
        schema = {"required": [name], "properties": {name: schema}}
    return schema


def schema_text() -> str:
    """The file's contents."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return json.dumps(chart_schema(values), indent=1) + "\n"
