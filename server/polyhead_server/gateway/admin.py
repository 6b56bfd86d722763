"""Talking to Envoy's administration, which listens on a socket of its own."""

from __future__ import annotations

import asyncio
import json
import socket
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any

from polyhead_server.hosts import joined

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE_SECONDS = 5.0


class Admin:
    """One Envoy's administration.

    Args:
        path: its socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def ready(self) -> bool:
        """Whether Envoy answers and has everything that it needs."""
        return await self._ask("GET", "/ready") is not None

    async def listeners(self) -> dict[str, str]:
        """Address and port by name of the listener."""
        content = await self._json("/listeners?format=json")
        return {
            one["name"]: _shown(one["local_address"]["socket_address"])
            for one in content.get("listener_statuses", ())
        }

    async def healthy(self, cluster: str) -> list[str]:
        """The healthy servers of a cluster."""
        content = await self._json("/clusters?format=json")
        hosts = [
            host
            for one in content.get("cluster_statuses", ())
            if one["name"] == cluster
            for host in one.get("host_statuses", ())
        ]
        return [
            _shown(host["address"]["socket_address"])
            for host in hosts
            if host.get("health_status", {}) == {"eds_health_status": "HEALTHY"}
        ]

    async def calls_under_way(self, listener: str) -> int:
        """Calls that are not finished."""
        name = f"http.{listener}.downstream_rq_active"
        return await self._sum(f"^{name}$")

    async def updates_refused(self) -> int:
        """How often Envoy did not take what is new in a file of ours; its log says why."""
        return await self._sum("update_rejected$")

    async def _sum(self, names: str) -> int:
        """The sum of the statistics whose names match an expression."""
        content = await self._json(f"/stats?format=json&filter={names}")
        return sum(int(stat["value"]) for stat in content.get("stats", ()))

    async def refuse(self) -> None:
        """Take no new connections, fail health checks, and tell callers to leave."""
        await self._ask("POST", "/healthcheck/fail")
        await self._ask("POST", "/drain_listeners")

    async def _json(self, path: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(await self._ask("GET", path) or b"{}")
        return content

    async def _ask(self, verb: str, path: str) -> bytes | None:
        """The answer; None where there is none, or it is not a good one."""
        return await asyncio.to_thread(_exchange, self._path, verb, path)


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("admin", timeout=_PATIENCE_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE_SECONDS)
        self.sock.connect(str(self._path))


def _exchange(path: Path, verb: str, target: str) -> bytes | None:
    connection = _Connection(path)
    try:
        connection.request(verb, target)
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    return body if response.status == HTTPStatus.OK else None


def _shown(address: dict[str, Any]) -> str:
    return joined(address["address"], address["port_value"])
