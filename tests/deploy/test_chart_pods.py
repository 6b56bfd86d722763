"""Pods that the chart makes: without rights, watched, ended with patience, complete."""

from __future__ import annotations

import pytest
from chart import PARTS, VALUES, containers, environment, render

MUTUAL = VALUES / "tls.yaml"


def test_no_rights(rendered):
    """Nobody is root, writes to the image, has capabilities, or a token of the cluster."""
    for pod in rendered.pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 10_000
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_no_variables_of_other_services(rendered):
    """A service called polyhead would else set POLYHEAD_PORT to tcp://..."""
    assert all(pod["enableServiceLinks"] is False for pod in rendered.pods)


def test_time_to_drain(rendered):
    """A pod is killed only after its hook, its drain, and some more."""
    for component in rendered.parts:
        container = rendered.container(component)
        drain = float(environment(container)[f"{PARTS[component].prefix}DRAIN_SECONDS"])
        hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        grace = rendered.pod(component)["terminationGracePeriodSeconds"]
        assert grace >= hook + drain + 5


def test_mounts_have_volumes(rendered):
    """Every file that a container is told of is in a volume that its pod has."""
    for pod in rendered.pods:
        volumes = {volume["name"] for volume in pod.get("volumes", ())}
        for container in containers(pod):
            mounts = {m["mountPath"]: m["name"] for m in container.get("volumeMounts", ())}
            assert set(mounts.values()) <= volumes
            paths = [v for v in environment(container).values() if v.startswith("/etc/polyhead/")]
            paths += [a.partition("=")[2] for a in container["args"] if "=/etc/polyhead/" in a]
            assert all(path.rpartition("/")[0] in mounts for path in paths)


def test_secrets_are_made_or_given(rendered):
    """A secret that the chart names is one that it makes, or one that was named in the values."""
    given = {"my-tokens", "gateway-client", "gateway-tls", "server-tls", "store-ca", "bundle-url"}
    made = set(rendered.of_kind("Secret"))
    for pod in rendered.pods:
        for volume in pod.get("volumes", ()):
            if "secret" in volume:
                assert volume["secret"]["secretName"] in made | given
                assert volume["secret"]["defaultMode"] == 0o440


def test_probes():
    """Calls are looked for where they come, life on ports that callers cannot use up."""
    plain, mutual = render(None), render(MUTUAL)
    command = ["polyhead-server", "check", "--service", ""]
    for probe in ("startupProbe", "readinessProbe"):
        assert plain.container("server")[probe]["grpc"] == {"port": 50_051, "service": ""}
        # Kubernetes' own probe knows no TLS.
        assert mutual.container("server")[probe]["exec"]["command"] == command
    for one in (plain, mutual):
        live = {name: one.container(name)["livenessProbe"]["httpGet"] for name in PARTS}
        assert live == {
            "server": {"path": "/livez", "port": "metrics"},
            "gateway": {"path": "/metrics", "port": "metrics"},
        }
        ready = one.container("gateway")["readinessProbe"]["httpGet"]
        assert ready == {"path": "/healthz", "port": "metrics"}


def test_the_gateway_does_not_hold_the_servers_key():
    """It is given the authority alone, and a certificate of its own."""
    volumes = {v["name"]: v for v in render(MUTUAL).pod("gateway")["volumes"]}
    assert volumes["server-ca"]["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    assert volumes["upstream"]["secret"]["secretName"] == "gateway-client"


def test_a_bundle_from_a_store():
    """It is fetched by digest before the server starts; the URL is in no argument."""
    pod = render(VALUES / "store.yaml").pod("server")
    (fetch,) = pod["initContainers"]
    assert fetch["args"][:3] == ["fetch-bundle", f"--sha256={'b' * 64}", "--to=/bundle/current"]
    reference = {"name": "bundle-url", "key": "url"}
    assert fetch["env"] == [
        {"name": "POLYHEAD_BUNDLE_URL", "valueFrom": {"secretKeyRef": reference}}
    ]
    (server,) = pod["containers"]
    assert environment(server)["POLYHEAD_BUNDLE"] == "/bundle/current"
    assert {"name": "bundle", "mountPath": "/bundle", "readOnly": True} in server["volumeMounts"]


def test_a_bundle_from_a_volume():
    """It is mounted read-only, and the path leads into it."""
    pod = render(VALUES / "volume.yaml").pod("server")
    (server,) = pod["containers"]
    assert environment(server)["POLYHEAD_BUNDLE"] == "/bundle/english/7"
    claim = {"claimName": "bundles", "readOnly": True}
    assert {"name": "bundle", "persistentVolumeClaim": claim} in pod["volumes"]


def test_a_bundle_from_the_image():
    """Of another image, at a path in it; nothing is mounted for it."""
    rendered = render(VALUES / "image.yaml")
    (server,) = rendered.pod("server")["containers"]
    assert (server["image"], environment(server)["POLYHEAD_BUNDLE"]) == (
        "mine/english:7",
        "/opt/bundles/english",
    )
    assert [mount["name"] for mount in server["volumeMounts"]] == ["tmp"]


def test_an_image_by_digest():
    """A digest goes before a tag."""
    image = render(VALUES / "everything.yaml").container("server")["image"]
    assert image == f"registry.example/polyhead-server@sha256:{'a' * 64}"


def test_secrets_change_pods():
    """New tokens start new pods."""
    stamps = []
    for token in ("one", "two"):
        deployment = render(None, "--set", f"auth.tokens={{{token}}}").one("Deployment", "-server")
        stamps.append(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/secrets"])
    assert stamps[0] != stamps[1]


@pytest.mark.parametrize("component", PARTS)
def test_spread_and_disruption(component):
    """Copies are spread over hosts and zones, and one at a time is taken away."""
    rendered = render(None)
    constraints = rendered.pod(component)["topologySpreadConstraints"]
    keys = [constraint["topologyKey"] for constraint in constraints]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    budget = rendered.one("PodDisruptionBudget", component)["spec"]
    deployment = rendered.one("Deployment", component)["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployment["selector"]
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_selectors_find_their_pods(rendered):
    """Services, budgets, policies and monitors choose by labels that pods have."""
    pods = [
        d["spec"]["template"]["metadata"]["labels"] for d in rendered.of_kind("Deployment").values()
    ]
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment"):
        for one in rendered.of_kind(kind).values():
            spec = one["spec"]
            chosen = spec.get("selector") or spec["podSelector"]
            labels = chosen.get("matchLabels", chosen)
            assert len([pod for pod in pods if labels.items() <= pod.items()]) == 1
    services = [s["metadata"]["labels"] for s in rendered.of_kind("Service").values()]
    for monitor in rendered.of_kind("ServiceMonitor").values():
        labels = monitor["spec"]["selector"]["matchLabels"]
        assert any(labels.items() <= service.items() for service in services)


def test_names_of_a_long_release():
    """No name is longer than Kubernetes takes."""
    flags = ("--set", f"fullnameOverride={'x' * 60}", "--set", "gateway.enabled=true")
    for one in render(None, *flags).objects:
        assert len(one["metadata"]["name"]) <= 63, one["kind"]
