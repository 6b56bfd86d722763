"""The command `polyhead-server gateway`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

import structlog

from polyhead_server import options
from polyhead_server.gateway.config import envoy_config
from polyhead_server.gateway.descriptors import DATA
from polyhead_server.gateway.keys import read_keys
from polyhead_server.gateway.process import start_gateway
from polyhead_server.logs import configure_logs
from polyhead_server.signals import stop_on_signals

if TYPE_CHECKING:
    import argparse

    from polyhead_server.gateway.process import Gateway
    from polyhead_server.gateway.settings import GatewaySettings

_log = structlog.get_logger(__name__)

_NOT_DRAINED = 1
_ENVOY_ENDED = 1
_PATIENCE_SECONDS = 2.0


def add_gateway(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `polyhead-server`."""
    parser = commands.add_parser(
        "gateway",
        help="run Envoy before one or more servers: HTTP/JSON, gRPC and gRPC-Web",
        description="Runs Envoy before one or more servers until SIGTERM or SIGINT: HTTP/JSON, "
        "gRPC and gRPC-Web, the API's description at /openapi.json and /docs. Each flag can be "
        "given as the environment variable in brackets, too; the flag counts.",
        allow_abbrev=False,
    )
    options.GATEWAY.add_flags(parser)
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="write the configuration for an Envoy of your own, API keys included, and end",
    )
    parser.add_argument(
        "--data-path",
        metavar="PATH",
        default=str(DATA),
        help="with --print-config: where that Envoy finds the folder with polyhead.binpb and the "
        "pages; a copy of the default",
    )
    parser.set_defaults(command=_gateway)


def _gateway(parsed: argparse.Namespace) -> int:
    settings = options.GATEWAY.read(vars(parsed), os.environ)
    if parsed.print_config:
        return _print_config(settings, parsed.data_path)
    configure_logs("auto", "info")
    return asyncio.run(_run(settings))


def _print_config(settings: GatewaySettings, data: str) -> int:
    keys = read_keys(settings.api_keys)
    config = envoy_config(settings, keys, data=data.rstrip("/"), admin="polyhead-admin.sock")
    json.dump(config, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


async def _run(settings: GatewaySettings) -> int:
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with start_gateway(settings) as gateway:
        await gateway.listening()
        telling = asyncio.create_task(_tell(gateway, settings))
        stopping = asyncio.create_task(stop.wait())
        ending = asyncio.create_task(gateway.ended())
        await asyncio.wait({stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
        for task in (telling, stopping, ending):
            task.cancel()
        if not stop.is_set():
            return _mourn(await gateway.ended())
        _log.info("draining", limit=settings.drain_seconds)
        drained = await gateway.stop()
        _log.info("stopped", drained=drained)
    return 0 if drained else _NOT_DRAINED


def _mourn(status: int) -> int:
    _log.error("envoy_ended", status=status)
    return _ENVOY_ENDED


async def _tell(gateway: Gateway, settings: GatewaySettings) -> None:
    """Say when calls are answered, and what they wait for until then."""
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            ready = await gateway.ready()
    except TimeoutError:
        _log.warning("no_healthy_server", servers=settings.upstream)
        ready = await gateway.ready()
    print(ready, flush=True)  # noqa: T201 - the one line that others wait for
