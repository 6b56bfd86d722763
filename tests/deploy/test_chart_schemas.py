"""What the chart makes is right by the schemas of Kubernetes, Prometheus Operator and KEDA."""

from __future__ import annotations

import json

import kubernetes_validate
import pytest
from chart import CHART, VALUES, helm, render
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor

from tools.chart_schema.schema import schema_text

OLDEST, NEWEST = "1.30", "1.37"
CUSTOM = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): ServiceMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PrometheusRule,
    ("keda.sh/v1alpha1", "ScaledObject"): ScaledObject,
}


def test_lint(case):
    """Helm finds nothing to warn of."""
    flags = () if case is None else ("--values", case)
    ended = helm("lint", "--strict", CHART, *flags)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes(rendered, version):
    """Every object of Kubernetes' own is right, without unknown fields, old and new."""
    own = [o for o in rendered.objects if (o["apiVersion"], o["kind"]) not in CUSTOM]
    assert len(own) >= 5
    for one in own:
        kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("name", ["everything", "keda"])
def test_custom_resources(name):
    """Objects of operators are right by their definitions, which know every field of them."""
    rendered = render(VALUES / f"{name}.yaml")
    found = [(CUSTOM.get((o["apiVersion"], o["kind"])), o) for o in rendered.objects]
    custom = [(model, one) for model, one in found if model is not None]
    assert custom
    for model, one in custom:
        read = model.model_validate(one)
        assert json.loads(read.model_dump_json(by_alias=True, exclude_unset=True)) == one


def test_a_wrong_object_is_found():
    """The schemas are strict: an unknown field, a wrong type and a missing one are errors."""
    deployment = render(None).one("Deployment", "-server")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["readinessProbe"]["grpc"]["sevice"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, NEWEST, strict=True)


def test_the_values_schema_is_made_from_settings():
    """values.schema.json is what tools.chart_schema makes now: run `make chart-schema`."""
    assert (CHART / "values.schema.json").read_text(encoding="utf-8") == schema_text()


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("nope=1", "additional properties 'nope' not allowed"),
        ("server.nope=1", "additional properties 'nope' not allowed"),
        ("server.settings.no_such_setting=1", "'no_such_setting' not allowed"),
        ("server.settings.port=1", "'port' not allowed"),
        ("gateway.settings.upstream=x", "'upstream' not allowed"),
        ("server.settings.queue_tokens=many", "got string, want integer"),
        ("server.settings.log_level=loud", "/server/settings/log_level"),
        ("server.replicas=-1", "minimum"),
        ("server.autoscaling.kind=vpa", "/server/autoscaling/kind"),
        ("server.autoscaling.kind=hpa,server.autoscaling.maxReplicas=1", "less than minReplicas"),
        (
            "gateway.autoscaling.enabled=true,gateway.autoscaling.maxReplicas=1",
            "less than minReplicas",
        ),
        ("gateway.apiKeys.keys.a=short", "/gateway/apiKeys/keys"),
        ("gateway.tls.requireClientCertificates=true", "/gateway/tls/enabled"),
        ("server.autoscaling.kind=keda", "prometheusAddress"),
        ("bundle.source=volume", "claimName"),
        ("bundle.source=download", "sha256"),
        ("bundle.download.sha256=abc", "sha256"),
        ("server.image.digest=latest", "digest"),
        ("tls.enabled=true", "existingSecret"),
        ("gateway.tls.enabled=true", "existingSecret"),
        ("gateway.upstreamSecret=x", "/tls/enabled"),
        ("gateway.service.type=Anything", "/gateway/service/type"),
        ("auth.existingSecret=x,gateway.jwt.existingSecret=y", "/gateway/apiKeys"),
        ("auth.tokens={x},gateway.jwt.jwks=y", "/gateway/apiKeys"),
    ],
)
def test_wrong_values_are_refused(flag, said):
    """Helm says what is wrong with a value before anything reaches a cluster."""
    ended = helm("template", "rel", CHART, "--set", flag)
    assert ended.returncode != 0
    assert said in ended.stderr


def test_mutual_tls_needs_a_certificate_for_the_gateway():
    """Else the gateway could reach no server."""
    flags = ("tls.enabled=true", "tls.existingSecret=x", "tls.requireClientCertificates=true")
    ended = helm("template", "rel", CHART, "--set", ",".join(flags))
    assert "upstreamSecret" in ended.stderr
    off = helm("template", "rel", CHART, "--set", ",".join((*flags, "gateway.enabled=false")))
    assert off.returncode == 0


@pytest.mark.parametrize(
    "more",
    [
        "gateway.apiKeys.existingSecret=z",
        "gateway.apiKeys.keys.a=16-characters-ok",
        "gateway.enabled=false",
    ],
)
def test_servers_tokens_beside_tokens_of_the_gateway(more):
    """Both go together where callers may show the gateway an API key, or there is no gateway."""
    flags = f"auth.existingSecret=x,gateway.jwt.existingSecret=y,{more}"
    assert helm("template", "rel", CHART, "--set", flags).returncode == 0
