"""The compose file is right by the specification, and names what there is."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from chart import PARTS, ROOT
from compose_spec import PyCompose
from dockerfile_parse import DockerfileParser

COMPOSE = ROOT / "deploy" / "compose"
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"


@pytest.fixture(scope="module")
def compose():
    text = (COMPOSE / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))  # as without variables set


def test_the_specification(compose):
    """The specification's own types take it, and no field that they do not know."""
    read = PyCompose.from_json(json.dumps(compose))
    assert set(read.to_dict()["services"]) == {"server", "gateway", "prometheus", "grafana"}
    compose["services"]["server"]["no_such_field"] = 1
    with pytest.raises(ValueError, match="no_such_field"):
        PyCompose.from_json(json.dumps(compose))
    del compose["services"]["server"]["no_such_field"]


@pytest.mark.parametrize("component", PARTS)
def test_variables_are_settings(compose, component):
    """Every variable is a setting, and every value is understood."""
    service = compose["services"][component]
    prefix = PARTS[component].prefix
    settings = PARTS[component].read({}, service["environment"])
    for name in service["environment"]:
        assert name.startswith(prefix)
        assert hasattr(settings, name.removeprefix(prefix).lower())
    assert float(service["stop_grace_period"].removesuffix("s")) > settings.drain_seconds


def test_builds_are_in_the_dockerfile(compose):
    """Images are built from stages that there are."""
    parser = DockerfileParser(str(DOCKERFILE), cache_content=True)
    stages = {
        line["value"].split()[-1] for line in parser.structure if line["instruction"] == "FROM"
    }
    for component in PARTS:
        build = compose["services"][component]["build"]
        assert (COMPOSE / build["context"] / build["dockerfile"]).resolve() == DOCKERFILE
        assert build["target"] in stages


def test_images_are_pinned(compose):
    """Each by a version of its own."""
    for service in compose["services"].values():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])


def test_mounted_files_are_there(compose):
    """What is mounted from the checkout is in it, and cannot be changed from inside."""
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source, _, mode = volume.split(":") if volume.count(":") == 2 else (volume, "", "ro")
            if source.startswith("."):
                assert (COMPOSE / source).exists()
                assert mode == "ro"


def test_services_have_no_rights(compose):
    """They cannot write to the image or gain rights, and are open to this machine only."""
    for service in compose["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        for port in service.get("ports", ()):
            assert "127.0.0.1" in port


def test_prometheus_scrapes_what_listens(compose):
    """Its targets are services and the ports of their metrics."""
    config = yaml.safe_load((COMPOSE / "prometheus.yml").read_text(encoding="utf-8"))
    targets = {
        (name, found["port"])
        for job in config["scrape_configs"]
        for found in job["dns_sd_configs"]
        for name in found["names"]
    }
    metrics = {
        "server": PARTS["server"].kind().metrics_port,
        "gateway": int(PARTS["gateway"].kind().metrics.rpartition(":")[2]),
    }
    assert targets == set(metrics.items())
    assert targets <= {(name, metrics[name]) for name in compose["services"] if name in metrics}


def test_grafana_reads_prometheus(compose):
    """Its source is the service, by the uid that dashboards name; its folder is the mounted one."""
    (source,) = yaml.safe_load((COMPOSE / "grafana/datasources.yml").read_text())["datasources"]
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert host in compose["services"]
    assert any(published.endswith(f":{port}") for published in compose["services"][host]["ports"])
    (provider,) = yaml.safe_load((COMPOSE / "grafana/dashboards.yml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
