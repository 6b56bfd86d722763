"""Words of Envoy's configuration language that several parts of it need."""

from __future__ import annotations

from typing import Any

from polyhead_server.gateway.settings import host_of, port_of

Json = dict[str, Any]

API_KEY_HEADER = "x-api-key"

_PREFIX = "type.googleapis.com/envoy."


def typed(name: str, type_name: str, /, **content: Any) -> Json:
    """An extension with its configuration.

    Args:
        name: its name.
        type_name: full name of its message, without `envoy.`.
        content: the message's fields.
    """
    return {"name": name, "typed_config": message(type_name, **content)}


def message(type_name: str, /, **content: Any) -> Json:
    """A message where any type may stand; its name is given without `envoy.`."""
    return {"@type": f"{_PREFIX}{type_name}", **content}


def seconds(value: float) -> str:
    """A duration."""
    return f"{value:.3f}s"


def socket_address(address: str) -> Json:
    """An address from host and port."""
    return {"socket_address": {"address": host_of(address), "port_value": port_of(address)}}


def header_is(name: str, value: str) -> Json:
    """Matches a header's value."""
    return {"name": name, "string_match": {"exact": value}}


def header_begins(name: str, prefix: str) -> Json:
    """Matches how a header's value begins."""
    return {"name": name, "string_match": {"prefix": prefix}}


def add_header(name: str, value: str) -> Json:
    """Sets a header that is not there yet."""
    return {"header": {"key": name, "value": value}, "append_action": "ADD_IF_ABSENT"}


def set_header(name: str, value: str) -> Json:
    """Sets a header, whatever it was."""
    return {
        "header": {"key": name, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
