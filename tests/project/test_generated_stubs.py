"""The checked-in stubs are what the protos give."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = [
    "clients/python/polyhead/v1",
    "clients/python/polyhead/admin/v1",
    "server/polyhead_server/inference",
]


def files(folder):
    """Give the generated files below a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if "_pb2" in path.name}


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Give a folder with what tools/generate.sh makes now."""
    folder = tmp_path_factory.mktemp("generated")
    environment = {**os.environ, "PYTHON": sys.executable}
    script = ROOT / "tools/generate.sh"
    subprocess.run([script, folder], check=True, env=environment, capture_output=True)
    return folder


@pytest.mark.parametrize("place", PLACES)
def test_stubs_are_generated_from_the_protos(generated, place):
    """tools/generate.sh, run now, gives every checked-in stub, byte for byte, and no other."""
    made = files(generated / place)
    kept = files(ROOT / place)
    assert sorted(made) == sorted(kept)
    assert [name for name in made if made[name] != kept[name]] == []
