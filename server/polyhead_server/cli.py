"""The command line: `polyhead-server` and its commands."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from polyhead_server import notify, options
from polyhead_server.bundle import open_bundle
from polyhead_server.collector import with_collector
from polyhead_server.cpus import usable_cpus
from polyhead_server.errors import PolyheadError, SettingsError
from polyhead_server.logs import configure_logs
from polyhead_server.loops import loop_factory
from polyhead_server.notify import signs_of_life
from polyhead_server.signals import reload_on_signal, stop_on_signals, survive_reload_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.table import Table

    from polyhead_server.bundle import Bundle
    from polyhead_server.ready import Ready
    from polyhead_server.settings import Settings

_log = structlog.get_logger(__name__)

_DESCRIPTION = """Serves bundles of task heads on one text encoder, and does what goes with it.
`polyhead-server COMMAND --help` explains a command."""
_SERVE = "serve"
_WRONG_USE = 2
_NOT_DRAINED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        0 where all went well, 1 where a drain did not finish in time, 2 where settings, a bundle or
        the machine do not allow it.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parsed = _parser(others=list(arguments[:1]) != [_SERVE]).parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except SettingsError as error:
        return _complain(error.problems)
    except PolyheadError as error:
        return _complain([str(error)])


def _parser(*, others: bool = True) -> argparse.ArgumentParser:
    """The flags of `serve`, and of all other commands where one of them may be meant."""
    parser = argparse.ArgumentParser(prog="polyhead-server", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=version("polyhead-server"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        _SERVE,
        help="serve a bundle over gRPC",
        description="Serves a bundle over gRPC until SIGTERM or SIGINT. Each flag can be given as "
        "the environment variable in brackets, too; the flag counts.",
        allow_abbrev=False,
    )
    options.SERVE.add_flags(serve)
    serve.set_defaults(command=_serve)
    inspect = commands.add_parser("inspect", help="verify a bundle and show what is in it")
    inspect.add_argument("bundle", type=Path, help="folder of the bundle")
    inspect.set_defaults(command=_inspect)
    if others:
        _add_others(commands)
    return parser


def _add_others(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add what is slow to import, and what a server that starts can do without."""
    from polyhead_server.check_command import add_check  # noqa: PLC0415
    from polyhead_server.fetch_command import add_fetch_bundle  # noqa: PLC0415
    from polyhead_server.gateway.command import add_gateway  # noqa: PLC0415
    from polyhead_server.plan.command import add_plan  # noqa: PLC0415
    from polyhead_server.rollout.command import add_bundles  # noqa: PLC0415
    from polyhead_server.score.command import add_score  # noqa: PLC0415
    from polyhead_server.security.sign_commands import add_signing  # noqa: PLC0415

    for add in (
        *(add_gateway, add_check, add_fetch_bundle, add_plan),
        *(add_bundles, add_signing, add_score),
    ):
        add(commands)


def _complain(problems: Sequence[str]) -> int:
    for problem in problems:
        sys.stderr.write(f"polyhead-server: {problem}\n")
    return _WRONG_USE


def _serve(parsed: argparse.Namespace) -> int:
    survive_reload_signals()
    found = with_collector(os.environ)
    settings = options.SERVE.read(vars(parsed), found.environment)
    configure_logs(settings.log_format, settings.log_level)
    if found.reason and settings.otlp_endpoint is None:
        _log.warning("not_traced", reason=found.reason)
    workers = usable_cpus() if settings.workers == "auto" else settings.workers
    settings = replace(settings, workers=workers)
    if workers > 1:
        drained = asyncio.run(_run_workers(settings))  # uvloop would fork to start them
    else:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            drained = runner.run(_run(settings))
    from polyhead_server.worker import left_behind  # noqa: PLC0415 - only a server needs it

    if left_behind():  # libraries would wait for it at the interpreter's end
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_NOT_DRAINED)
    return 0 if drained else _NOT_DRAINED


async def _run(settings: Settings) -> bool:
    stop = asyncio.Event()
    stop_on_signals(stop)
    asked: list[bool] = []
    reload_on_signal(lambda: asked.append(True))
    from polyhead_server.lifecycle import start_server  # noqa: PLC0415 - slow to import

    server = await start_server(settings)
    reload_on_signal(server.reload)
    if asked:  # the bundle may have been read before
        server.reload()
    _announce(server.ready)
    with signs_of_life(lambda: server.alive):
        await stop.wait()
        notify.tell(notify.STOPPING)
        return await server.stop()


async def _run_workers(settings: Settings) -> bool:
    from polyhead_server.workers.supervisor import supervise  # noqa: PLC0415 - one has none

    return await supervise(settings, _announce)


def _announce(ready: Ready) -> None:
    print(ready, flush=True)  # noqa: T201 - the one line that others wait for
    notify.tell(notify.READY, f"STATUS={ready}")


def _inspect(parsed: argparse.Namespace) -> int:
    from rich.console import Console  # noqa: PLC0415 - slow to import

    bundle = open_bundle(parsed.bundle)
    console = Console()
    console.print(f"{bundle.name} {bundle.version}: every file has its digest", highlight=False)
    console.print(_heads_table(bundle))
    return 0


def _heads_table(bundle: Bundle) -> Table:
    from rich.table import Table  # noqa: PLC0415 - slow to import

    table = Table("head", "kind", "labels", "figures", box=None, pad_edge=False)
    for head in bundle.heads:
        figures = [f"{f.data_set} {f.split} {f.metric} {f.value:.4f}" for f in head.figures]
        table.add_row(head.name, head.kind, " ".join(head.labels), "\n".join(figures))
    return table
