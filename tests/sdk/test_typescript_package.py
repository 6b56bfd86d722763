"""What is checked in of the TypeScript package fits the protos, the registries and the version."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TYPESCRIPT = ROOT / "clients/typescript"


def files(folder):
    """Content of every file below a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.ts")}


def test_generated_code_is_generated_from_the_protos(tmp_path, installed):
    """`npm run generate`, run now, gives src/gen, byte for byte, and no other file."""
    buf = Path(sys.executable).with_name("buf")
    subprocess.run([buf, "generate", "-o", tmp_path], cwd=TYPESCRIPT, check=True)
    made = files(tmp_path / "src/gen")
    assert len(made) > 4
    assert made == files(TYPESCRIPT / "src/gen")


@pytest.fixture
def lock():
    return json.loads((TYPESCRIPT / "package-lock.json").read_text(encoding="utf-8"))


def test_the_lock_names_versions_and_digests_but_no_addresses(lock):
    """The lock works with any mirror: npm is to check digests, not places."""
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert len(packages) > 8
    for name, one in packages.items():
        assert "resolved" not in one, name
        assert one["integrity"].startswith("sha512-"), name
    assert "://" not in json.dumps(lock)


def test_versions_are_exact(lock):
    """No range lets a version in that was not tested."""
    package = json.loads((TYPESCRIPT / "package.json").read_text(encoding="utf-8"))
    for name, version in (package["dependencies"] | package["devDependencies"]).items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version


def test_clients_have_one_version(lock):
    """Both clients are released together."""
    python = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text(encoding="utf-8"))
    package = json.loads((TYPESCRIPT / "package.json").read_text(encoding="utf-8"))
    assert package["version"] == lock["version"] == python["project"]["version"]


def test_the_packed_package_has_all_it_needs(package, tmp_path, run_in_package):
    """What `npm pack` makes is imported from another folder, without the checkout's sources."""
    run_in_package("npm", "pack", "--ignore-scripts", "--pack-destination", tmp_path)
    (archive,) = tmp_path.glob("*.tgz")
    subprocess.run(["tar", "-xzf", archive, "-C", tmp_path], check=True)
    scope = tmp_path / "node_modules/@polyhead"
    scope.mkdir(parents=True)
    (tmp_path / "package").rename(scope / "client")
    for dependency in ("@bufbuild", "@connectrpc"):
        (tmp_path / "node_modules" / dependency).symlink_to(package / "node_modules" / dependency)
    program = "".join(
        f"console.log(Object.keys(await import('@polyhead/client{entry}')).length > 4);"
        for entry in ("", "/node", "/v1")
    )
    command = ["node", "--input-type=module", "--eval", program]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["true"] * 3, ended.stderr
    assert (scope / "client/LICENSE").is_file()
