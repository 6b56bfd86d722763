"""Real servers and gateways as processes on free ports, and a plain way to ask them over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 30.0
ORIGIN = "https://page.example"
COMMAND = [sys.executable, "-m", "polyhead_server"]


@dataclass(frozen=True)
class Running:
    """A process that said that it is ready."""

    process: subprocess.Popen
    said: dict[str, str]
    """Words of the ready line by the word before them."""
    log: Path

    @property
    def address(self) -> str:
        """Host and port, or URL, that it listens on."""
        return self.said["on"]

    def events(self) -> list[dict[str, Any]]:
        """The lines of its log so far."""
        return events_of(self.log)


def events_of(log: Path) -> list[dict[str, Any]]:
    """The lines of a log so far; libraries write lines of another form in between."""
    written = log.read_text(encoding="utf-8")
    lines = written[: written.rfind("\n") + 1].splitlines()  # the last may be half written
    return [json.loads(line) for line in lines if line.startswith("{")]


@contextlib.contextmanager
def running(log: Path, *arguments: object) -> Iterator[Running]:
    """Run a command of polyhead-server until the block ends."""
    with (
        log.open("w") as file,
        subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=file, text=True
        ) as process,
    ):
        try:
            words = process.stdout.readline().split()
            assert words, log.read_text(encoding="utf-8")
            yield Running(process, dict(itertools.pairwise(words)), log)
        finally:
            process.terminate()
            process.wait(PATIENCE)


def running_server(log: Path, bundle: Path, *arguments: object):
    """Run a server that logs every call."""
    common = ("--port=0", "--metrics-port=-1", "--threads=1", "--access-log", "--bundle", bundle)
    return running(log, "serve", *common, *arguments)


def running_gateway(log: Path, *servers: Running, options: tuple[object, ...] = ()):
    """Run a gateway before some servers."""
    common = ("--listen=127.0.0.1:0", "--metrics=127.0.0.1:0", "--threads=1")
    upstream = [server.address for server in servers]
    return running(log, "gateway", *common, "--upstream", *upstream, *options)


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def details(self) -> dict[str, dict[str, Any]]:
        """The google.rpc details of an error by the names of their types."""
        return {one["@type"].rpartition(".")[2]: one for one in self.json["details"]}


def ask(
    gateway: Running | str,
    path: str,
    body: object = None,
    *,
    verb: str | None = None,
    connection: http.client.HTTPConnection | None = None,
    **headers: str,
) -> Answer:
    """Ask once. A body that is not bytes goes as JSON; underscores in headers become hyphens."""
    url = gateway if isinstance(gateway, str) else gateway.address
    used = connection or http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        used.request(verb or ("GET" if body is None else "POST"), path, data, names)
        response = used.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, response.read())
    finally:
        if connection is None:
            used.close()
