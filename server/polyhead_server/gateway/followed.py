"""Files that may be replaced while the gateway runs; Envoy hears of what is new in them."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from polyhead_server.errors import StartError
from polyhead_server.gateway.filters import API_KEYS, JWT, api_keys_filter
from polyhead_server.gateway.keys import read_keys
from polyhead_server.gateway.split import (
    CALLERS,
    SERVERS,
    Resources,
    file_of,
    filter_resource,
    inlined,
)
from polyhead_server.security.pems import load_pems
from polyhead_server.security.watched import Watched, read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from polyhead_server.gateway.envoy_types import Json
    from polyhead_server.gateway.settings import GatewaySettings

_KINDS = {"RSA", "EC", "OKP", "oct"}
"""Of keys in a JWKS file; Envoy passes over others."""


class Followed:
    """What Envoy reads from files of ours, made of the files that settings name.

    Those are looked at whenever `write` is called. What belongs together is one watch: a broken
    certificate must not keep a withdrawn API key in force.

    Args:
        settings: name the files.
        resources: what `split` took out of the configuration.
        folder: where the files of ours are to be; nobody else may read it, for it holds keys.

    Raises:
        StartError: a file cannot be used.
    """

    def __init__(self, settings: GatewaySettings, resources: Resources, folder: Path) -> None:
        self._folder = folder
        self._watches = list(_watches(settings, resources))
        self._written: Resources = {}

    def write(self) -> bool:
        """Write what is new; whether there was anything. What cannot be written is tried again."""
        found = {name: one for watch in self._watches for name, one in watch.get().items()}
        fresh = {name: one for name, one in found.items() if one != self._written.get(name)}
        for name, resource in fresh.items():
            _put(file_of(name, self._folder), {"resources": [resource]})
            self._written[name] = resource
        return bool(fresh)


def _watches(settings: GatewaySettings, resources: Resources) -> Iterator[Watched[Resources]]:
    if settings.api_keys is not None:
        yield _watched((settings.api_keys,), partial(_api_keys, settings.api_keys))
    if settings.jwt_keys is not None:
        yield _watched((settings.jwt_keys,), partial(_tokens, settings.jwt_keys, resources[JWT]))
    callers = _Pems(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
    servers = _Pems(settings.upstream_cert, settings.upstream_key, settings.upstream_ca)
    for side, pems in ((CALLERS, callers), (SERVERS, servers)):
        own = {name: one for name, one in resources.items() if name.startswith(f"{side}-")}
        if own:
            yield _watched(pems.present(), partial(_secrets, pems, own))


def _watched(files: tuple[Path, ...], read: Callable[[], Resources]) -> Watched[Resources]:
    return Watched(files, read, pause=0.0)  # whoever calls `write` waits


def _api_keys(file: Path) -> Resources:
    return {API_KEYS: filter_resource(api_keys_filter(read_keys(file)))}


def _tokens(file: Path, resource: Json) -> Resources:
    """The resource with the keys in it.

    Raises:
        StartError: the file is no JWKS.
    """
    try:
        keys = json.loads(read_bytes(file))["keys"]
        known = any(key["kty"] in _KINDS for key in keys)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise StartError(f"{file} is no JSON Web Key Set") from None
    if not known:
        raise StartError(f"{file} holds no key")
    return {JWT: inlined(resource)}


@dataclass(frozen=True, slots=True)
class _Pems:
    """Where one side's certificate, key and authorities are."""

    cert: Path | None
    key: Path | None
    authorities: Path | None

    def present(self) -> tuple[Path, ...]:
        files = (self.cert, self.key, self.authorities)
        return tuple(file for file in files if file is not None)


def _secrets(pems: _Pems, resources: Resources) -> Resources:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # only to see that they can be used
    load_pems(context, pems.cert, pems.key, pems.authorities)
    return {name: inlined(resource) for name, resource in resources.items()}


def _put(file: Path, content: Json) -> None:
    """Write beside and move: Envoy looks when a file is moved here, and then finds it whole."""
    beside = file.with_suffix(".new")
    beside.touch(0o600)
    beside.write_text(json.dumps(content), encoding="utf-8")
    beside.replace(file)
