"""Autoscaling, monitoring and reachability: what the chart promises the cluster."""

from __future__ import annotations

import json

import yaml
from chart import ROOT, VALUES, render
from prometheus_run import RULES

EVERYTHING, KEDA, VOLUME = (VALUES / f"{name}.yaml" for name in ("everything", "keda", "volume"))


def test_hpa():
    """By the queue's delay, in whole thousandths, and by CPU; the deployment sets no number."""
    rendered = render(EVERYTHING)
    scaler = rendered.one("HorizontalPodAutoscaler", "-server")["spec"]
    pods, cpu = scaler["metrics"]
    assert pods["pods"] == {
        "metric": {"name": "polyhead_queue_delay_seconds"},
        "target": {"type": "AverageValue", "averageValue": "50m"},
    }
    assert cpu["resource"]["target"] == {"type": "Utilization", "averageUtilization": 75}
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 30)
    for component in ("server", "gateway"):
        deployment = rendered.one("Deployment", f"-{component}")
        scaler = rendered.one("HorizontalPodAutoscaler", f"-{component}")
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert "replicas" not in deployment["spec"]


def test_keda():
    """The same by KEDA: the sum of delays over the target is the number wanted."""
    rendered = render(KEDA)
    scaled = rendered.one("ScaledObject")["spec"]
    delay, cpu = scaled["triggers"]
    assert delay["metricType"] == "AverageValue"
    assert delay["metadata"]["threshold"] == "0.02"
    assert delay["metadata"]["query"] == (
        'sum(polyhead_queue_delay_seconds{namespace="shop", pod=~"rel-polyhead-server-.+"})'
    )
    assert cpu["metadata"] == {"value": "75"}
    assert scaled["scaleTargetRef"]["name"] == "rel-polyhead-server"
    assert "replicas" not in rendered.one("Deployment", "-server")["spec"]
    assert not rendered.of_kind("HorizontalPodAutoscaler")


def test_the_metric_exists():
    """The server shows the metric that scales it."""
    source = (ROOT / "server/polyhead_server/metrics.py").read_text(encoding="utf-8")
    assert '"polyhead_queue_delay_seconds"' in source


def test_no_scaling():
    """By default the number of pods is given."""
    rendered = render(None)
    assert rendered.one("Deployment", "-server")["spec"]["replicas"] == 2
    assert not rendered.of_kind("HorizontalPodAutoscaler")
    assert not rendered.of_kind("ScaledObject")


def test_servers_are_found_one_by_one():
    """The service has no address of its own: gateway and clients balance over all servers."""
    assert render(None).one("Service", "-server")["spec"]["clusterIP"] == "None"


def test_rules_and_dashboards_are_those_of_deploy():
    """The chart holds what deploy/ has, by links, and no copies."""
    rendered = render(EVERYTHING)
    groups = [yaml.safe_load(file.read_text(encoding="utf-8")).get("groups") for file in RULES]
    made = [rule["spec"]["groups"] for rule in rendered.of_kind("PrometheusRule").values()]

    def first(groups):
        return groups[0]["name"]

    assert sorted(made, key=first) == sorted(filter(None, groups), key=first)
    dashboards = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    data = rendered.one("ConfigMap", "-dashboards")["data"] or {}
    assert {name: json.loads(text) for name, text in data.items()} == {
        file.name: json.loads(file.read_text(encoding="utf-8")) for file in dashboards
    }


def test_policies():
    """Servers hear the gateway and who is named; they speak to nobody but DNS."""
    rendered = render(None)
    server = rendered.one("NetworkPolicy", "-server")["spec"]
    check, calls, metrics = server["ingress"]
    assert _components(check) == ["check"]
    assert [port["port"] for port in check["ports"]] == [50_051]
    assert {"podSelector": {}} in calls["from"]
    assert [port["port"] for port in calls["ports"]] == [50_051]
    assert metrics["from"] == [{"namespaceSelector": {}}]
    assert [p["port"] for rule in server["egress"] for p in rule["ports"]] == [53, 53]
    gateway = rendered.one("NetworkPolicy", "-gateway")["spec"]
    assert "from" not in gateway["ingress"][0]
    assert (
        gateway["egress"][1]["to"][0]["podSelector"]["matchLabels"]
        == (server["podSelector"]["matchLabels"])
    )


def test_nobody_named_lets_nobody_in():
    """Without a gateway and without names no call comes in, but for what `helm test` runs."""
    (check,) = render(VOLUME).one("NetworkPolicy", "-server")["spec"]["ingress"]
    assert _components(check) == ["check"]


def test_live_figures_may_be_fetched():
    """A gateway that shows the servers' figures may ask them, whoever else may."""
    rules = render(VALUES / "everything.yaml").one("NetworkPolicy", "-server")["spec"]["ingress"]
    to_figures = [rule for rule in rules if {"protocol": "TCP", "port": 9464} in rule["ports"]]
    assert ["gateway"] in [_components(rule) for rule in to_figures]


def _components(rule):
    """The pods of the chart that a rule lets in."""
    labels = [one.get("podSelector", {}).get("matchLabels", {}) for one in rule["from"]]
    return [one["app.kubernetes.io/component"] for one in labels if one]


def test_fetching_may_leave():
    """A server that fetches its bundle may reach a store."""
    egress = render(VALUES / "store.yaml").one("NetworkPolicy", "-server")["spec"]["egress"]
    assert {"protocol": "TCP", "port": 443} in [port for rule in egress for port in rule["ports"]]
