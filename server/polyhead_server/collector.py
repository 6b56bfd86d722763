"""The collector that OpenTelemetry's own environment variables name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SETTING = "POLYHEAD_OTLP_ENDPOINT"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


@dataclass(frozen=True, slots=True)
class Found:
    """An environment, and why a collector in it is passed over, if one is."""

    environment: Mapping[str, str]
    reason: str = ""


def with_collector(environment: Mapping[str, str]) -> Found:
    """Let the setting be what the standard variables say, where it is not set itself.

    Such variables are often set for all that runs somewhere. So they turn tracing on only where it
    can be had, and never keep a server from starting.
    """
    endpoint = _first(environment, _ENDPOINTS)
    if _SETTING in environment or not endpoint or _unwanted(environment):
        return Found(environment)
    protocol = _first(environment, _PROTOCOLS) or "grpc"
    if protocol != "grpc":
        return Found(environment, f"traces go by grpc, not by {protocol}")
    if not _installed():
        return Found(environment, "polyhead-server[tracing] is not installed")
    return Found({**environment, _SETTING: endpoint})


def _installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.grpc") is not None
    except ModuleNotFoundError:
        return False


def _unwanted(environment: Mapping[str, str]) -> bool:
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporters = environment.get("OTEL_TRACES_EXPORTER", "otlp").split(",")
    return off or "otlp" not in exporters


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")
