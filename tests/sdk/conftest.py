"""A real server behind real gateways, and the TypeScript package, built once, for all tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from gateway_keys import API_KEY
from gateway_processes import running_gateway, running_server
from page_server import serve_pages
from tiny_bundle import write_tiny_bundle

TYPESCRIPT = Path(__file__).parents[2] / "clients/typescript"


@pytest.fixture(scope="session")
def logs(tmp_path_factory):
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session")
def server(tmp_path_factory, logs):
    bundle = write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
    with running_server(logs / "server.jsonl", bundle) as server:
        yield server


@pytest.fixture(scope="session")
def pages():
    """A server of static pages, on an origin of its own."""
    with serve_pages(TYPESCRIPT) as pages:
        yield pages


@pytest.fixture(scope="session")
def gateway(server, pages, logs):
    options = ("--cors-origins", pages.origin)
    with running_gateway(logs / "gateway.jsonl", server, options=options) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def guarded_gateway(server, logs, tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"tester {API_KEY}\n", encoding="utf-8")
    keys.chmod(0o600)
    log = logs / "guarded.jsonl"
    with running_gateway(log, server, options=("--api-keys", keys)) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def run_in_package():
    """Runs a command in the package's folder, and fails with what it said."""

    def run(*command, **environment):
        ended = subprocess.run(
            [str(part) for part in command],
            cwd=TYPESCRIPT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    return run


@pytest.fixture(scope="session")
def installed():
    """The folder of the package, with what it needs beside it."""
    if shutil.which("npm") is None or not (TYPESCRIPT / "node_modules").is_dir():
        pytest.skip("the package is not installed: run `make sdk-test`")
    return TYPESCRIPT


@pytest.fixture(scope="session")
def package(installed, run_in_package):
    """The folder of the package, built."""
    run_in_package("npm", "run", "build")
    return installed
