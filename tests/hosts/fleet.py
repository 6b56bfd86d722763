"""Servers, gateway and Prometheus, each on a host of its own, and what may happen to them."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from tests.hosts.load import Call
from tests.hosts.names import NAME, serving_names
from tests.hosts.network import network
from tests.hosts.processes import PRODUCT, Running, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.hosts.names import Names
    from tests.hosts.network import Host

SERVERS = ("server-1", "server-2", "server-3", "server-4")
GATEWAY_PORT, SERVER_PORT = 8080, 50051
SERVER_METRICS, GATEWAY_METRICS, PROMETHEUS_PORT = 9464, 9465, 9090
PROGRAMS = ("mount", "prometheus", "tc")
_CONNECTION_AGE = 3
_REPOSITORY = Path(__file__).parents[2]
_HEALTHY = 'envoy_cluster_membership_healthy{envoy_cluster_name="polyhead"}'
_KNOWN = 'envoy_cluster_membership_total{envoy_cluster_name="polyhead"}'
_PROMETHEUS = f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: polyhead
    dns_sd_configs: [{{names: [{NAME}], type: A, port: {SERVER_METRICS}, refresh_interval: 1s}}]
  - job_name: gateway
    static_configs: [{{targets: ["GATEWAY:{GATEWAY_METRICS}"]}}]
"""


class Fleet:
    """All hosts. Made by `running_fleet`.

    Args:
        hosts: by name.
        names: what the servers' name stands for.
        folder: for logs and files.
        bundle: what the servers serve at first.
    """

    def __init__(self, hosts: dict[str, Host], names: Names, folder: Path, bundle: Path) -> None:
        self.hosts = hosts
        self.servers: dict[str, Running] = {}
        self._started: list[Running] = []
        self._names = names
        self._folder = folder
        self._served = folder / "served"
        self._gateway: Running | None = None
        self.serve_from(bundle)

    def open(self) -> None:
        """Start everything, and wait until all of it is healthy."""
        self.publish(SERVERS)
        for name in SERVERS:
            self.start(name)
        self.start_gateway()
        self.start_prometheus()
        self.await_healthy(len(SERVERS))

    def serve_from(self, bundle: Path) -> None:
        """Let the link that all servers read their bundle by lead elsewhere."""
        new = self._folder / "new"
        new.symlink_to(bundle)
        new.replace(self._served)

    def start(self, name: str) -> None:
        """Start a server that is not running; it is not ready yet."""
        where = ("--host=0.0.0.0", f"--port={SERVER_PORT}", "--metrics-host=0.0.0.0")
        more = ("--threads=1", f"--max-connection-age={_CONNECTION_AGE}", "--drain-seconds=20")
        self.servers[name] = self._run(
            name,
            *(*PRODUCT, "serve", *where, f"--metrics-port={SERVER_METRICS}", *more),
            f"--bundle={self._served}",
        )

    def drain(self, name: str) -> None:
        """Have a server end as it is told to before an upgrade."""
        status = self.servers.pop(name).end(signal.SIGTERM)
        assert status == 0, f"{name} ended with {status}"

    def kill(self, name: str) -> None:
        """Have a server end at once."""
        self.servers.pop(name).end(signal.SIGKILL)

    def publish(self, names: Sequence[str]) -> None:
        """Let the servers' name stand for some hosts."""
        self._names.addresses = tuple(self.hosts[name].address for name in names)

    def reload(self, name: str, version: str) -> None:
        """Have a server load its bundle anew, and wait until it answers all calls by it."""
        self.servers[name].send(signal.SIGHUP)
        gauge = re.compile(
            rf'^polyhead_bundle_traffic_ratio\{{[^}}]*bundle_version="{version}"[^}}]*\}} 1\.0$',
            re.MULTILINE,
        )
        until(lambda: gauge.search(self.metrics(name, SERVER_METRICS)), f"{name} serves {version}")

    def start_gateway(self) -> None:
        """Start Envoy, and wait until it can answer calls."""
        self._gateway = self._run(
            "gateway",
            *(*PRODUCT, "gateway", f"--listen=0.0.0.0:{GATEWAY_PORT}", "--threads=1"),
            *(f"--upstream={NAME}:{SERVER_PORT}", f"--metrics=0.0.0.0:{GATEWAY_METRICS}"),
        )
        self._gateway.ready()

    def await_healthy(self, count: int) -> None:
        """Wait until the gateway holds so many servers for healthy."""
        until(lambda: self._gateway_gauge(_HEALTHY) == count, f"{count} healthy servers")

    def await_known(self, count: int) -> None:
        """Wait until the gateway knows of so many servers."""
        until(lambda: self._gateway_gauge(_KNOWN) == count, f"{count} servers are known")

    def start_prometheus(self) -> None:
        """Start Prometheus, and wait until it has scraped everything once."""
        config = self._folder / "prometheus.yml"
        config.write_text(_PROMETHEUS.replace("GATEWAY", self.hosts["gateway"].address))
        self._run(
            "prometheus",
            *("prometheus", f"--config.file={config}", "--log.level=warn"),
            *(f"--storage.tsdb.path={self._folder / 'tsdb'}", "--web.enable-lifecycle"),
        )
        self.await_up(len(SERVERS))

    def await_up(self, count: int) -> None:
        """Wait until Prometheus reaches so many servers."""
        query = 'sum(up{job="polyhead"})'
        until(lambda: self.ask_prometheus(query) == count, f"Prometheus reaches {count} servers")

    def ask_prometheus(self, query: str) -> float | None:
        """The value of a query that has one; None where there is none yet.

        A Prometheus that is still starting answers, but not in JSON.
        """
        self._check_servers()
        path = f"/api/v1/query?query={quote(query)}"
        with contextlib.suppress(OSError, json.JSONDecodeError):
            found = json.loads(self._get("prometheus", PROMETHEUS_PORT, path))["data"]["result"]
            return float(found[0]["value"][1]) if found else None
        return None

    def metrics(self, name: str, port: int) -> str:
        """What a host tells Prometheus; empty where it cannot be reached."""
        with contextlib.suppress(OSError):
            return self._get(name, port, "/metrics")
        return ""

    def shrink(self, count: int) -> None:
        """Keep so many of the servers, and wait until the gateway knows."""
        self.publish(SERVERS[:count])
        for name in SERVERS[count:]:
            if name in self.servers:
                self.drain(name)
        self.await_known(count)

    def flood(self, callers: int, seconds: float) -> float:
        """Calls a second that get through the gateway."""
        target = f"{self.hosts['gateway'].address}:{GATEWAY_PORT}"
        command = (sys.executable, "-m", "tests.hosts.flood", callers, seconds, target)
        running = self._run("caller", *command)
        rate = float(running.ready("flood")["flood"])
        running.process.wait()
        return rate

    def close(self) -> None:
        """End whatever still runs, at once."""
        for running in self._started:
            running.close()

    def _run(self, name: str, *command: object) -> Running:
        running = Running(self.hosts[name], self._folder / f"{name}.log", *command)
        self._started.append(running)
        return running

    def _check_servers(self) -> None:
        """See that none has ended that nobody has told to."""
        for name, running in self.servers.items():
            status = running.process.poll()
            assert status is None, f"{name} has ended with {status}, which nobody told it to"

    def _gateway_gauge(self, name: str) -> float | None:
        self._check_servers()
        lines = self.metrics("gateway", GATEWAY_METRICS).splitlines()
        found = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)]
        return found[0] if found else None

    def _get(self, name: str, port: int, path: str) -> str:
        address = (self.hosts[name].address, port)
        caller = self.hosts["caller"]
        connection = http.client.HTTPConnection(*address)
        connection.sock = caller.inside(lambda: _connect(address))
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read().decode()

    @contextlib.contextmanager
    def load(self, rate: float) -> Iterator[Load]:
        """A steady load by the gateway and past it, while the block runs; then its calls."""
        gateway = f"{self.hosts['gateway'].address}:{GATEWAY_PORT}"
        ways = (f"gateway={gateway}", f"direct=dns:///{NAME}:{SERVER_PORT}")
        command = (sys.executable, "-m", "tests.hosts.load", rate, *ways)
        running = self._run("caller", *command)
        load = Load(running)
        try:
            running.ready()
            yield load
        finally:
            load.finish()


class Load:
    """A load under way, and what became of its calls."""

    def __init__(self, running: Running) -> None:
        self._running = running

    @property
    def calls(self) -> list[Call]:
        """Those that are over."""
        return [Call(**json.loads(line)) for line in self._running.lines[1:]]

    def await_calls(self, count: int) -> Self:
        """Wait until so many more are over."""
        wanted = len(self._running.lines) + count
        until(lambda: len(self._running.lines) >= wanted, f"{count} more calls are over")
        return self

    def finish(self) -> None:
        """Begin no more, and wait for those under way."""
        if self._running.process.poll() is None:
            self._running.end()


def _connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=5.0)


@contextlib.contextmanager
def running_fleet(folder: Path, bundle: Path) -> Iterator[Fleet]:
    """Everything up and healthy; nothing is left of it when the block ends."""
    hosts_wanted = ("names", "caller", "gateway", "prometheus", *SERVERS)
    with (
        contextlib.chdir(_REPOSITORY),
        network(hosts_wanted, folder) as hosts,
        serving_names(hosts["names"]) as names,
    ):
        fleet = Fleet(hosts, names, folder, bundle)
        with contextlib.closing(fleet):
            fleet.open()
            yield fleet
