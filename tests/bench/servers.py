"""What is measured, each in a process of its own: server, gateway, bare echo."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from polyhead_server.bundle import MANIFEST
from tests.bench.processes import started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from tests.bench.processes import Started

_PRODUCT = (sys.executable, "-m", "polyhead_server")
_CALLS_ENDED = re.compile(
    r'^grpc_server_handled_total\{[^}]*grpc_code="(\w+)"[^}]*\} (\S+)', re.MULTILINE
)


def serving(bundle: Path, *flags: str) -> AbstractContextManager[Started]:
    """A server on a free port, its log thrown away as a deployment's collector would take it."""
    command = (*_PRODUCT, "serve", "--port=0", "--bundle", str(bundle))
    metrics = (
        () if any(flag.startswith("--metrics-port") for flag in flags) else ("--metrics-port=0",)
    )
    return started((*command, *metrics, *flags), "ready on", subprocess.DEVNULL)


def gateway(server: Started) -> AbstractContextManager[Started]:
    """A gateway with its default settings before a server."""
    command = (*_PRODUCT, "gateway", "--listen=127.0.0.1:0", "--metrics=none")
    upstream = ("--upstream", address(server))
    return started((*command, *upstream), "gateway ready on", subprocess.DEVNULL)


def echoing() -> AbstractContextManager[Started]:
    """A gRPC server that does nothing: it answers with as many bytes as the method's name says."""
    return started((sys.executable, "-m", "tests.bench.echo"), "ready on")


@contextlib.contextmanager
def with_heads(bundle: Path, times: int) -> Iterator[Path]:
    """A copy of a bundle that has each of its heads so many times."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "bundle"
        shutil.copytree(bundle, copy)
        manifest = json.loads((copy / MANIFEST).read_text(encoding="utf-8"))
        manifest["heads"] = [
            {**head, "name": head["name"] + (f"-{number}" if number else "")}
            for number in range(times)
            for head in manifest["heads"]
        ]
        (copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        yield copy


def address(server: Started) -> str:
    """Host and port that a process said it is ready on."""
    where = server.said("on")
    return urlsplit(where).netloc if "//" in where else where


def counts(server: Started) -> tuple[float, float]:
    """Calls that a server has ended with OK and with another status, by its own metrics."""
    with urllib.request.urlopen(server.said("metrics")) as answer:  # noqa: S310 - our own server
        text = answer.read().decode()
    ended = {"OK": 0.0, "": 0.0}
    for code, value in _CALLS_ENDED.findall(text):
        ended["OK" if code == "OK" else ""] += float(value)
    return ended["OK"], ended[""]
