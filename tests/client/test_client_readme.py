"""The README's Python blocks run, each on its own, against the testing service."""

import re
from pathlib import Path

import pytest

import polyhead._aio
import polyhead._client

README = Path(__file__).parents[2] / "clients/python/README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_there_are_blocks():
    """The pattern finds what it is to run."""
    assert len(BLOCKS) >= 6


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_block_runs(block, service, monkeypatch):
    """A block that names no server of its own calls the one that runs here."""
    for client in (polyhead._client.Client, polyhead._aio.AsyncClient):
        monkeypatch.setattr(client.__init__, "__defaults__", (service.address,))
    code = block.replace('"localhost:50051"', repr(service.address))
    exec(compile(code, str(README), "exec"), {"__name__": "readme"})  # noqa: S102 - our own text
