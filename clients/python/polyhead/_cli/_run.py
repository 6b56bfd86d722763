"""From arguments to an exit code: which command, and what becomes of its errors."""

from __future__ import annotations

import contextlib
import os
import ssl
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from polyhead import (
    TLS,
    Client,
    DeadlineExceededError,
    HttpClient,
    InvalidArgumentError,
    PolyheadError,
    UnavailableError,
)
from polyhead._cli import _annotate, _show
from polyhead._cli._arguments import parser
from polyhead._cli._inputs import UsageError
from polyhead._cli._terminal import complain, make_console

if TYPE_CHECKING:
    import argparse

OK, SOME_FAILED, BAD_INPUT, UNREACHABLE, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 3, 130, 141


def run(arguments: list[str]) -> int:
    """Run the command line and give its exit code."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # whoever calls us may have put in their own
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return PIPE_CLOSED
    return code


def _run(arguments: list[str]) -> int:
    top = parser()
    try:
        options = top.parse_args(arguments)
    except SystemExit as exit_:  # argparse has said what is wrong, or has shown its help
        return int(exit_.code or 0)
    if options.version:
        sys.stdout.write(f"polyhead {version('polyhead')}\n")
        return OK
    if options.command is None:
        top.print_help()
        return BAD_INPUT
    return _call(options)


def _call(options: argparse.Namespace) -> int:
    try:
        client = _connect(options)
    except (ValueError, OSError) as error:
        complain(str(error))
        return BAD_INPUT
    try:
        with client:
            return _COMMANDS[options.command](client, options)
    except UsageError as error:
        complain(str(error))
        return BAD_INPUT
    except PolyheadError as error:
        complain(_explain(error, options.url or options.address))
        return _code_of(error)
    except BrokenPipeError:
        raise
    except OSError as error:  # a disk that is full, a file that may not be written
        complain(str(error))
        return SOME_FAILED


def _connect(options: argparse.Namespace) -> Client | HttpClient:
    if options.url:
        return _connect_http(options)
    tls = None
    if options.tls or options.ca:
        tls = TLS(ca=options.ca.read_bytes() if options.ca else None)
    token = os.environ.get("POLYHEAD_TOKEN") or None
    return Client(options.address, timeout=options.timeout, tls=tls, token=token)


def _connect_http(options: argparse.Namespace) -> HttpClient:
    if options.tls:
        raise ValueError("--tls goes with --address; a URL says https://")
    context = ssl.create_default_context(cafile=options.ca) if options.ca else None
    token = os.environ.get("POLYHEAD_TOKEN") or None
    key = os.environ.get("POLYHEAD_API_KEY") or None
    headers = {"x-api-key": key} if key else None
    return HttpClient(
        options.url, timeout=options.timeout, tls=context, token=token, headers=headers
    )


def _do_annotate(client: Client | HttpClient, options: argparse.Namespace) -> int:
    tally = _annotate.annotate(client, options, make_console())
    if not tally.failed or options.skip_errors:
        return OK
    return SOME_FAILED if tally.done or tally.server_failed else BAD_INPUT


def _do_tasks(client: Client | HttpClient, options: argparse.Namespace) -> int:
    _show.tasks(client.list_tasks(), make_console(), as_json=options.json)
    return OK


def _do_health(client: Client | HttpClient, options: argparse.Namespace) -> int:
    if options.wait is not None:
        client.wait_ready(options.wait)
    health = client.health()
    _show.health(health, options.url or options.address, make_console())
    return OK if health == "serving" else UNREACHABLE


_COMMANDS = {"annotate": _do_annotate, "tasks": _do_tasks, "health": _do_health}


def _explain(error: PolyheadError, address: str) -> str:
    if isinstance(error, UnavailableError):
        reason = error.message.rsplit("last error: ", 1)[-1]
        return f"no server can be reached at {address}: {reason}"
    named = f" (request {error.request_id})" if error.request_id else ""
    return f"{error}{named}"


def _code_of(error: PolyheadError) -> int:
    if isinstance(error, UnavailableError | DeadlineExceededError):
        return UNREACHABLE
    return BAD_INPUT if isinstance(error, InvalidArgumentError) else SOME_FAILED


def _silence_stdout() -> None:
    """Keep the interpreter from flushing into the closed pipe when it exits."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
