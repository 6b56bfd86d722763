"""The command `polyhead-server check`, for probes of containers and for scripts."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from polyhead_server import options
from polyhead_server.errors import SettingsError
from polyhead_server.gateway.settings import host_of, port_of
from polyhead_server.health_check import Target, fault_of, gateway_target, server_target

if TYPE_CHECKING:
    import argparse

_NOT_SERVING = 1
_PATIENCE_SECONDS = 3.0


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of `polyhead-server`."""
    parser = commands.add_parser(
        "check",
        help="ask a server or gateway whether it serves; the exit code tells",
        description="Asks a server or gateway over grpc.health.v1 whether it serves. Ends with 0 "
        "where it does, with 1 where it does not or does not answer. Without --address it asks the "
        "server on this machine that the POLYHEAD_ variables of the environment describe.",
        allow_abbrev=False,
    )
    parser.add_argument("--address", metavar="HOST:PORT", help="whom to ask")
    parser.add_argument(
        "--gateway",
        action="store_true",
        help="without --address: ask the gateway that the POLYHEAD_GATEWAY_ variables describe",
    )
    parser.add_argument(
        "--service", default="", metavar="NAME", help="one gRPC service; the whole if not given"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=_PATIENCE_SECONDS,
        metavar="SECONDS",
        help=f"time to wait for the answer; {_PATIENCE_SECONDS:g} if not given",
    )
    for flag, text in (
        ("--ca", "PEM file with the authorities of its certificate; turns TLS on"),
        ("--cert", "PEM file with a certificate to show"),
        ("--key", "PEM file with that certificate's private key"),
    ):
        parser.add_argument(flag, type=Path, metavar="PATH", help=text)
    parser.add_argument(
        "--server-name", metavar="NAME", help="name in its certificate, where it is not the host"
    )
    parser.set_defaults(command=_check)


def _check(parsed: argparse.Namespace) -> int:
    fault = fault_of(_target(parsed), parsed.service, parsed.timeout)
    if fault is None:
        return 0
    sys.stderr.write(f"polyhead-server: {fault}\n")
    return _NOT_SERVING


def _target(parsed: argparse.Namespace) -> Target:
    """Whom the flags mean.

    Raises:
        SettingsError: they, or the variables, do not fit together.
        StartError: the variables do not say where the process listens.
    """
    if parsed.address is not None:
        return _addressed(parsed)
    given = [name for name in ("ca", "cert", "key", "server_name") if getattr(parsed, name)]
    if given:
        raise SettingsError([f"--{name.replace('_', '-')}: needs --address" for name in given])
    if parsed.gateway:
        return gateway_target(options.GATEWAY.read({}, os.environ))
    return server_target(options.SERVE.read({}, os.environ))


def _addressed(parsed: argparse.Namespace) -> Target:
    problems = []
    if not host_of(parsed.address) or port_of(parsed.address) <= 0:
        problems.append(f"--address: {parsed.address!r} is not a host and a port")
    if (parsed.cert is None) != (parsed.key is None):
        problems.append("--cert, --key: must be given together")
    if parsed.ca is None and (parsed.cert is not None or parsed.server_name is not None):
        problems.append("--cert, --key, --server-name: need --ca")
    if problems:
        raise SettingsError(problems)
    return Target(parsed.address, parsed.ca, parsed.cert, parsed.key, parsed.server_name)


def _seconds(raw: str) -> float:
    seconds = float(raw)
    if not 0 < seconds < math.inf:
        raise ValueError(raw)
    return seconds
