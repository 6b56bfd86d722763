"""A real Prometheus of its own, with the rules at a pace at which they can be watched."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import yaml
from chart import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RULES = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
PATIENCE = 60.0
PACE = "1s"
SHORT = {
    **dict.fromkeys(("1m", "2m", "3m", "5m"), "5s"),
    **dict.fromkeys(("10m", "15m", "30m", "1h", "2h"), "10s"),
    **dict.fromkeys(("6h", "1d", "3d"), "30s"),
}
"""What a duration in a rule becomes."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]


def quick(rules: dict[str, Any]) -> dict[str, Any]:
    """The same rules with short windows."""
    for group in rules["groups"]:
        group["interval"] = PACE
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"\[(\w+)\]", lambda m: f"[{SHORT[m[1]]}]", rule["expr"])
            if "for" in rule:
                rule["for"] = "500ms"
    return rules


class Prometheus:
    """Runs until closed.

    Args:
        folder: where it keeps its files.
        targets: ports on this machine to scrape, by job.
    """

    def __init__(self, folder: Path, targets: dict[str, list[int]]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        for file in RULES:
            rules = quick(yaml.safe_load(file.read_text(encoding="utf-8")))
            (folder / file.name).write_text(yaml.safe_dump(rules), encoding="utf-8")
        config = {
            "global": {
                "scrape_interval": PACE,
                "scrape_timeout": PACE,
                "evaluation_interval": PACE,
            },
            "rule_files": [file.name for file in RULES],
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}],
                }
                for job, ports in targets.items()
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                ],
                stderr=log,
            )
        eventually(self._is_ready)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The samples of an expression now."""
        return self._ask("query", query=expr)["result"]

    def query_range(self, expr: str, seconds: float, step: float) -> list[dict[str, Any]]:
        """The series of an expression over the last seconds."""
        end = time.time()
        return self._ask("query_range", query=expr, start=end - seconds, end=end, step=step)[
            "result"
        ]

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        alerts = self._ask("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):  # noqa: S310 - our own
                return True
        except OSError:
            return False

    def _ask(self, what: str, **parameters: object) -> dict[str, Any]:
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - our own
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None


def eventually(condition, instead=lambda: "nothing") -> None:
    """Wait for what other processes do, which has no event of ours; or say what was instead."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {condition}, there was {instead()}"
        time.sleep(0.05)
