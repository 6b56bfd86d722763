"""The checked-in stubs are what the protos give."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "clients/python/polyhead/v1"


def files(folder):
    """Give the generated files below a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if "_pb2" in path.name}


def test_stubs_are_generated_from_the_protos(tmp_path):
    """tools/generate.sh, run now, gives every checked-in stub, byte for byte, and no other."""
    environment = {**os.environ, "PYTHON": sys.executable}
    script = ROOT / "tools/generate.sh"
    subprocess.run([script, tmp_path], check=True, env=environment, capture_output=True)
    made = files(tmp_path / "polyhead/v1")
    kept = files(STUBS)
    assert sorted(made) == sorted(kept)
    assert [name for name in made if made[name] != kept[name]] == []
