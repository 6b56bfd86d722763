"""The TypeScript of the READMEs runs as it stands, against what really runs."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```ts\n(.*?)```", re.DOTALL)
CONFIG = {
    "extends": "../../tsconfig.json",
    "compilerOptions": {"rootDir": ".", "outDir": "out", "declaration": False},
    "include": ["*.mts"],
}


@pytest.fixture(scope="module")
def folder(package):
    folder = package / "build/readme"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tsconfig.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return folder


def test_blocks_run(package, folder, run_in_package, server, gateway):
    """Each block is well typed, ends without an error, and says what it should."""
    readmes = [package / "README.md", ROOT / "README.md"]
    blocks = [code for readme in readmes for code in BLOCK.findall(readme.read_text("utf-8"))]
    for old in folder.glob("**/*.m[tj]s"):
        old.unlink()
    for number, code in enumerate(blocks):
        here = code.replace("http://localhost:8080", gateway.address)
        here = here.replace("localhost:50051", server.address)
        (folder / f"block{number}.mts").write_text(here, encoding="utf-8")
    run_in_package("node_modules/.bin/tsc", "-p", folder)
    said = [run_in_package("node", folder / f"out/block{n}.mjs") for n in range(len(blocks))]
    assert len(said) == 6
    assert "sentiment: negative, neutral, positive" in said[1]
    assert any(label in said[2] for label in ("negative", "neutral", "positive"))
    assert "documents[0].text" in said[3]
    assert said[5].startswith(("negative", "neutral", "positive"))
