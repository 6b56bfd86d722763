"""The Dockerfile: what a reader of it can check without an engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from chart import PARTS, ROOT
from dockerfile_parse import DockerfileParser

from polyhead_server import cli

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture(scope="module")
def stages():
    """Instructions of each stage, by its name: pairs of instruction and value."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in DockerfileParser(str(DOCKERFILE), cache_content=True).structure:
        if line["instruction"] == "FROM":
            name = line["value"].split()[-1]
            found[name] = []
        if found:
            found[name].append((line["instruction"], line["value"]))
    return found


def values(stage, instruction):
    return [value for name, value in stage if name == instruction]


def variables(stage):
    """Variables that a stage sets."""
    pairs = " ".join(values(stage, "ENV")).split()
    return dict(pair.split("=", 1) for pair in pairs)


def test_hadolint():
    """The linter of Dockerfiles finds nothing."""
    ended = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_one_pinned_base(stages):
    """All stages come from one base of an exact version, to which a digest can be given."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    (base,) = re.findall(r"^ARG BASE=(.*)$", text, re.MULTILINE)
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+\.\d+-slim-\w+", base)
    for name, stage in stages.items():
        (source,) = values(stage, "FROM")
        parent = source.split()[0]
        assert parent == "${BASE}" or parent in stages, name


def test_what_runs_is_not_what_builds(stages):
    """Installing is done in stages of its own, of which only the environment is taken over."""
    for name in ("server", "gateway"):
        assert values(stages[name], "COPY") == [
            f"--from=install-{name} /opt/polyhead /opt/polyhead"
        ]
        assert not values(stages[name], "RUN")
        assert values(stages[name], "FROM") == [f"runtime AS {name}"]
    assert list(stages)[-1] == "server"  # built where no target is named


def test_no_rights_and_a_good_end(stages):
    """It runs as a numbered user, and is ended by the signal that drains."""
    assert values(stages["runtime"], "USER") == ["10001:10001"]
    assert values(stages["runtime"], "STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(values(stages["runtime"], "ENTRYPOINT")[0]) == ["polyhead-server"]


@pytest.mark.parametrize(("name", "kind"), PARTS.items())
def test_commands_and_ports(stages, name, kind):
    """Command and health check are commands that there are; ports are those listened on."""
    stage = stages[name]
    (check,) = values(stage, "HEALTHCHECK")
    parser = cli._parser()
    for words in (json.loads(values(stage, "CMD")[0]), json.loads(check.partition("CMD ")[2])[1:]):
        assert parser.parse_args(words)
    ours = {key: value for key, value in variables(stage).items() if key.startswith("POLYHEAD_")}
    settings = kind.read({}, ours)
    assert all(hasattr(settings, key.removeprefix(kind.prefix).lower()) for key in ours)
    ports = set(map(int, values(stage, "EXPOSE")[0].split()))
    if name == "server":
        assert ports == {settings.port, settings.metrics_port}
        assert (settings.host, settings.metrics_host) == ("0.0.0.0", "0.0.0.0")  # noqa: S104
    else:
        assert ports == {int(a.rpartition(":")[2]) for a in (settings.listen, settings.metrics)}


def test_labels(stages):
    """An image says what it is."""
    for name in ("server", "gateway"):
        labels = " ".join(values(stages["runtime"], "LABEL") + values(stages[name], "LABEL"))
        for label in ("title", "description", "version", "revision", "licenses"):
            assert f"org.opencontainers.image.{label}" in labels


def test_only_what_is_copied_is_sent(stages):
    """.dockerignore lets through what the Dockerfile copies, and nothing else."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        word
        for stage in stages.values()
        for value in values(stage, "COPY")
        if not value.startswith("--from")
        for word in value.split()[:-1]
    }
    assert let == copied
    assert all((ROOT / path).exists() for path in let)
