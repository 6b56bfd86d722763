"""The README's commands and programs work, in its order, in a fresh copy of the checkout."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"```(sh|python)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
)
READY = re.compile(r"polyhead ready on (\S+) bundle \S+ \S+ heads \S+")
GATEWAY_READY = re.compile(r"gateway ready on http://(\S+) servers \S+")
SERVE = "make serve\n"
GATEWAY = "make gateway\n"
TESTS = "make test\n"  # the command that runs this


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A folder with the checkout's files, without what was built in it."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        top = Path(name).parts[0]
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(ROOT / top)
    (folder / ".venv-dev").symlink_to(sys.prefix)
    return folder


@contextlib.contextmanager
def started(checkout, ready, *command):
    """Run a command until the block ends, and give what its ready line tells."""
    with subprocess.Popen(
        command, cwd=checkout, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if found := ready.match(line):
                    break
            else:
                pytest.fail(f"{command} ended: {''.join(lines)}")
            yield found[1]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


@pytest.fixture(scope="module")
def address(checkout):
    """What `make serve` serves."""
    with started(checkout, READY, "make", "serve", "ARGS=--port 0 --metrics-port 0") as address:
        yield address


@pytest.fixture(scope="module")
def gateway(checkout, address):
    """What `make gateway` serves."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    flags = (
        f"SERVE_ARGS=--port {port} --metrics-port 0",
        f"ARGS=--listen 127.0.0.1:0 --metrics none --upstream 127.0.0.1:{port}",
    )
    with started(checkout, GATEWAY_READY, "make", "gateway", *flags) as gateway:
        yield gateway


def test_the_first_commands_are_serve_test_and_annotate():
    """A new user meets them in this order."""
    first = [code.split()[:2] for _, code in BLOCKS[:3]]
    assert first == [["make", "serve"], ["make", "test"], [".venv/bin/polyhead", "annotate"]]


def test_blocks_run(checkout, address, gateway, monkeypatch):
    """Each block ends without an error and says something sensible."""
    monkeypatch.setenv("POLYHEAD_ADDRESS", address)
    said = ""
    for kind, code in BLOCKS:
        if code in {SERVE, GATEWAY, TESTS}:
            continue
        program = code.replace("localhost:50051", address).replace("localhost:8080", gateway)
        command = ["bash", "-euc", program] if kind == "sh" else [sys.executable, "-c", program]
        ended = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{code}\n{ended.stdout}\n{ended.stderr}"
        said += ended.stdout
    assert "Berlin" in said
    assert '"offsetUnit":"OFFSET_UNIT_CODE_POINT"' in said
    assert '"label": "ORG"' in said or '"label":"ORG"' in said
    assert (checkout / "my-bundle" / "MODEL_CARD.md").exists()
