"""What the chart tells server and gateway is what these understand, by their own code."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from chart import CHART, PARTS, VALUES, containers, environment, render

from polyhead_server import cli
from tools.chart_schema.schema import FIXED


@pytest.fixture(autouse=True)
def mounted_files(monkeypatch):
    """Take files that a pod has mounted as there: which are is another test."""
    monkeypatch.setattr(Path, "is_file", lambda self: True)


def read(rendered, component):
    """The settings that a rendered container has."""
    return PARTS[component].read({}, environment(rendered.container(component)))


def test_every_variable_is_a_setting(rendered):
    """A name that is no setting would be passed over in silence, so there is none."""
    for component in rendered.parts:
        known = {
            f"{PARTS[component].prefix}{f.name.upper()}" for f in fields(PARTS[component].kind)
        }
        ours = {n for n in environment(rendered.container(component)) if n.startswith("POLYHEAD_")}
        assert ours <= known


def test_every_value_is_understood(rendered):
    """The settings' own reader takes all of them."""
    for component in rendered.parts:
        settings = read(rendered, component)
        assert settings.drain_seconds > 0


def test_arguments_are_commands(rendered):
    """Arguments and commands of all containers are those that polyhead-server has."""
    parser = cli._parser()
    parser.exit_on_error = False
    found = [container for pod in rendered.pods for container in containers(pod)]
    probes = [
        c[probe]["exec"]["command"]
        for c in found
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        if "exec" in c.get(probe, {})
    ]
    assert all(command[0] == "polyhead-server" for command in probes)
    for arguments in [*(c["args"] for c in found), *(command[1:] for command in probes)]:
        assert isinstance(parser.parse_args(arguments), argparse.Namespace)


def test_the_defaults_change_nothing_else():
    """Without values of one's own only addresses and the drain are set."""
    settings = read(render(None), "server")
    plain = PARTS["server"].kind()
    assert replace(settings, host=plain.host, metrics_host=plain.metrics_host) == plain


def test_values_arrive_as_they_are():
    """Large whole numbers, fractions, truths, lists and texts are what was written."""
    rendered = render(VALUES / "everything.yaml")
    server, gateway = read(rendered, "server"), read(rendered, "gateway")
    assert (server.queue_tokens, server.max_message_bytes) == (131_072, 16_777_216)
    assert (server.default_deadline, server.max_connection_age) == (12.5, 300)
    assert (server.access_log, server.log_level, server.drain_seconds) == (True, "warning", 12.5)
    assert gateway.cors_origins == ("https://page.example", "https://other.example")
    assert (gateway.rate_limit, gateway.max_connections) == (100, 20_000)
    assert gateway.access_log is False
    assert (gateway.jwt_issuer, gateway.jwt_audience) == ("https://issuer.example", "polyhead")


def test_what_the_chart_gives_itself_cannot_be_set():
    """Each such setting is one that there is, so that the list cannot grow stale."""
    for component, names in FIXED.items():
        assert names <= {field.name for field in fields(PARTS[component].kind)}


@pytest.mark.parametrize("component", PARTS)
def test_every_setting_can_be_given(component, tmp_path):
    """The chart takes each setting that it does not give itself, in the type that it has."""
    kind = PARTS[component].kind
    given = {
        field.name: list(field.default) if isinstance(field.default, tuple) else field.default
        for field in fields(kind)
        if field.name not in FIXED[component] and field.default is not None
    }
    given = {name: value for name, value in given.items() if not isinstance(value, Path)}
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps({component: {"settings": given}}), encoding="utf-8")
    settings = read(render(file), component)
    assert {name: getattr(settings, name) for name in given} == {
        name: getattr(kind(), name) for name in given
    }
    assert len(given) > 10


def test_ports_agree():
    """Services, probes, scrapes and policies name ports on which something listens."""
    rendered = render(VALUES / "everything.yaml")
    server, gateway = read(rendered, "server"), read(rendered, "gateway")
    listening = {
        "server": {server.port, server.metrics_port, server.inference_http_port},
        "gateway": {int(a.rpartition(":")[2]) for a in (gateway.listen, gateway.metrics)},
    }
    for component, ports in listening.items():
        declared = rendered.container(component)["ports"]
        assert {port["containerPort"] for port in declared} == ports
        names = {port["name"] for port in declared}
        for service in rendered.of_kind("Service").values():
            if service["spec"]["selector"]["app.kubernetes.io/component"] == component:
                assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
        policy = rendered.one("NetworkPolicy", f"-{component}")
        allowed = {p["port"] for rule in policy["spec"]["ingress"] for p in rule["ports"]}
        assert allowed == ports
    assert gateway.upstream == (f"nlp-server.shop.svc.cluster.local:{server.port}",)
    assert gateway.inference == (f"nlp-server.shop.svc.cluster.local:{server.inference_http_port}",)


def test_the_chart_has_the_servers_version():
    """Chart and images are released together."""
    ended = cli.version("polyhead-server")
    assert f"appVersion: {ended}\n" in (CHART / "Chart.yaml").read_text(encoding="utf-8")
