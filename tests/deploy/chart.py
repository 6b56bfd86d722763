"""The Helm chart, rendered by the real helm: what tests and their fixtures share."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from polyhead_server import options

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "polyhead"
VALUES = Path(__file__).parent / "values"
HELM = Path(os.environ.get("HELM", ROOT / "build" / "helm" / "helm"))
RELEASE = "rel"
NAMESPACE = "shop"
PARTS = {"server": options.SERVE, "gateway": options.GATEWAY}


@dataclass(frozen=True)
class Rendered:
    """What the chart makes of some values."""

    text: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [document for document in yaml.safe_load_all(self.text) if document]

    def of_kind(self, kind: str) -> dict[str, dict[str, Any]]:
        """Objects of a kind, by name."""
        return {o["metadata"]["name"]: o for o in self.objects if o["kind"] == kind}

    def one(self, kind: str, end: str = "") -> dict[str, Any]:
        """The one object of a kind whose name ends so."""
        (found,) = (o for name, o in self.of_kind(kind).items() if name.endswith(end))
        return found

    @property
    def parts(self) -> list[str]:
        """Those of server and gateway that are deployed."""
        names = self.of_kind("Deployment")
        return [part for part in PARTS if any(name.endswith(f"-{part}") for name in names)]

    @property
    def pods(self) -> list[dict[str, Any]]:
        """Every pod, of deployments and by itself."""
        deployments = self.of_kind("Deployment").values()
        return [
            *(deployment["spec"]["template"]["spec"] for deployment in deployments),
            *(pod["spec"] for pod in self.of_kind("Pod").values()),
        ]

    def pod(self, component: str) -> dict[str, Any]:
        """The pod of the server's or the gateway's deployment."""
        return self.one("Deployment", f"-{component}")["spec"]["template"]["spec"]

    def container(self, component: str) -> dict[str, Any]:
        (found,) = self.pod(component)["containers"]
        return found


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of a pod, in the order in which they start."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


def helm(*arguments: object) -> subprocess.CompletedProcess:
    """Run helm; its word on symbolic links in the chart is no news."""
    command = [str(HELM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def render(values: Path | None, *more: object) -> Rendered:
    """Render the chart, with the values of a file."""
    flags = () if values is None else ("--values", values)
    ended = helm("template", RELEASE, CHART, "--namespace", NAMESPACE, *flags, *more)
    assert ended.returncode == 0, ended.stderr
    return Rendered(ended.stdout)


def environment(container: dict[str, Any]) -> dict[str, str]:
    """A container's plain environment variables; none is set twice."""
    names = [variable["name"] for variable in container.get("env", ())]
    assert len(names) == len(set(names))
    return {v["name"]: v["value"] for v in container.get("env", ()) if "value" in v}
