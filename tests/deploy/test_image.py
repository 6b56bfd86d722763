"""The server's image without an engine: its install step is run, and what it installs is started.

The commands are the Dockerfile's own (deploy/docker/install.sh); the environment lies elsewhere.
Where we are root it runs as the image's user over a file system that cannot be written to.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from chart import ROOT

from polyhead import Client

PATIENCE = 60.0
MOST_MEGABYTES = 420
USER = 10_001
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
READ_ONLY = (
    "mount --bind / / && mount -o remount,bind,ro / && mount -t tmpfs tmpfs /run "
    f'&& exec setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs "$@"'
)


@pytest.fixture(scope="module")
def installed():
    """What `RUN sh deploy/docker/install.sh` gives, out of what COPY takes from the checkout."""
    (extras,) = re.findall(r"install.sh /opt/polyhead (http,jwt\S*)$", DOCKERFILE, re.MULTILINE)
    with tempfile.TemporaryDirectory(prefix="polyhead-image-") as name:
        folder = Path(name)  # not pytest's: other users cannot enter those
        folder.chmod(0o755)
        copy_sources(folder / "source")
        command = ["sh", "deploy/docker/install.sh", folder / "polyhead", extras]
        ended = subprocess.run(
            command, cwd=folder / "source", capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        shutil.rmtree(folder / "source")
        subprocess.run(["chmod", "-R", "a-w,a+rX", folder / "polyhead"], check=True)
        yield folder / "polyhead"
        subprocess.run(["chmod", "-R", "u+w", folder / "polyhead"], check=True)


def copy_sources(target: Path) -> None:
    """Copy what the Dockerfile copies of the files that git has or would take."""
    for path in re.findall(r"^COPY (?!--from)(\S+) \S+$", DOCKERFILE, re.MULTILINE):
        tracked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", path]
        names = subprocess.check_output(tracked, cwd=ROOT, text=True).split("\0")
        for name in filter(None, names):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def confined(*command: object) -> list[str]:
    """A command as the container would run it, as far as we may."""
    words = [str(word) for word in command]
    if os.geteuid() != 0:
        return words
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", READ_ONLY, "sh", *words]


def environment(installed: Path, **more: str) -> dict[str, str]:
    """The image's variables, and nothing of ours."""
    given = dict(re.findall(r"(PYTHON\w+|POLYHEAD_LOG_FORMAT)=(\S+)", DOCKERFILE))
    return {
        **given,
        "PATH": f"{installed}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/none",
        **more,
    }


def packages(installed: Path) -> Path:
    (found,) = installed.glob("lib/python3*/site-packages")
    return found


def test_what_is_installed(installed):
    """Client and server with the pinned packages; no torch, no installer; not too large."""
    site = packages(installed)
    found = {path.name.partition("-")[0].lower() for path in site.glob("*.dist-info")}
    assert {"polyhead", "polyhead_server", "openvino", "grpcio", "aiohttp"} <= found
    assert not found & {"torch", "transformers", "pip", "setuptools", "wheel", "pytest"}
    pins = dict(
        re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    )
    pinned = {name.lower().replace("-", "_").replace(".", "_"): pins[name] for name in pins}
    for path in site.glob("*.dist-info"):
        name, _, version = path.name.removesuffix(".dist-info").rpartition("-")
        if not name.startswith("polyhead"):
            assert pinned[name.lower().replace(".", "_")] == version
    total = sum(path.stat().st_size for path in site.rglob("*") if not path.is_symlink())
    print(f"site-packages: {total / 1e6:.0f} MB")  # noqa: T201 - shown by pytest -rP
    assert total < MOST_MEGABYTES * 1e6


def test_it_serves_without_rights(installed, tmp_path):
    """As another user, without a place to write to, it becomes ready, answers, and drains."""
    variables = environment(
        installed, POLYHEAD_PORT="0", POLYHEAD_METRICS_PORT="0", POLYHEAD_THREADS="1"
    )
    with serving(variables, tmp_path / "log") as (process, address):
        with Client(address) as client:
            annotation = client.annotate("The fans in Berlin loved it.")
        assert annotation.classification("sentiment").label == "positive"
        check = confined("polyhead-server", "check", "--address", address)
        ended = subprocess.run(check, env=environment(installed), cwd="/", check=False)
        assert ended.returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@contextlib.contextmanager
def serving(variables, log):
    """The image's command, from its ready line to the end of the block at the latest."""
    with (
        log.open("w") as file,
        subprocess.Popen(
            confined("polyhead-server", "serve"),
            env=variables,
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        ) as process,
    ):
        try:
            words = process.stdout.readline().split()
            assert words[:3] == ["polyhead", "ready", "on"], log.read_text(encoding="utf-8")
            yield process, words[3]
        finally:
            process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take rights away")
def test_the_rights_are_gone(installed):
    """The confinement is real: it is another user, and the file system cannot be written to."""
    script = "id -u; touch /run/x; touch /tmp/x || echo refused"
    ended = subprocess.run(
        confined("sh", "-c", script), capture_output=True, text=True, check=False
    )
    assert ended.stdout.split() == [str(USER), "refused"]
    assert "Read-only file system" in ended.stderr
