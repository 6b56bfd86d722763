"""The README's Python blocks run, each on its own, against the testing service."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from gateway_processes import running_gateway

import polyhead._aio
import polyhead._client
from polyhead.testing import serve

README = Path(__file__).parents[2] / "clients/python/README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
FILES = re.search(r"### Files.*?```sh\n(.*?)```", TEXT, re.DOTALL)[1]


@pytest.fixture(scope="module")
def behind():
    """The service behind the gateway."""
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def url(behind, tmp_path_factory):
    """A gateway for the blocks that call over HTTP."""
    log = tmp_path_factory.mktemp("gateway") / "log.jsonl"
    with running_gateway(log, SimpleNamespace(address=behind.address)) as gateway:
        yield gateway.address


def test_there_are_blocks():
    """The pattern finds what it is to run."""
    assert len(BLOCKS) >= 9


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_block_runs(block, service, url, monkeypatch):
    """A block that names no server of its own calls the one that runs here."""
    for client in (polyhead._client.Client, polyhead._aio.AsyncClient):
        monkeypatch.setattr(client.__init__, "__defaults__", (service.address,))
    code = block.replace('"localhost:50051"', repr(service.address))
    code = code.replace('"http://localhost:8080"', repr(url))
    exec(compile(code, str(README), "exec"), {"__name__": "readme"})  # noqa: S102 - our own text


def test_files_block_runs(service, url, tmp_path):
    """The commands for files do what they say, over gRPC and over HTTP."""
    (tmp_path / "reviews.csv").write_text("review,stars\nI love Berlin,5\nI hate it,1\n")
    (tmp_path / "posts.jsonl").write_text('{"body": "I love it"}\n{"body": " "}\n')
    environment = os.environ | {
        "POLYHEAD_ADDRESS": service.address,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    subprocess.run(
        ["bash", "-euc", FILES.replace("http://localhost:8080", url)],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    table = (tmp_path / "annotated.csv").read_text(encoding="utf-8").splitlines()
    assert table[0] == "review,stars,sentiment,sentiment_score,entities,bundle_version,error"
    assert table[1].startswith("I love Berlin,5,positive,0.8")
    assert (tmp_path / "annotated.parquet").exists()
    assert len((tmp_path / "annotated.jsonl").read_text().splitlines()) == 2
    assert len((tmp_path / "failed.jsonl").read_text().splitlines()) == 1
