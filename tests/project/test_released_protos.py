"""What was released stays: `buf breaking` holds the protos to protos/released.binpb."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).with_name("buf")
RELEASED = ROOT / "protos/released.binpb"
SERVICE = "protos/polyhead/v1/annotation_service.proto"


@pytest.fixture
def tree(tmp_path):
    """A copy of the protos, to be changed."""
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    for folder in ("protos", "third_party"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def compare(folder):
    """Compare as `make lint` does; gives the exit status and what was said."""
    command = [BUF, "breaking", "protos", "--against", RELEASED]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def change(folder, old, new, proto=SERVICE):
    text = (folder / proto).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (folder / proto).write_text(text.replace(old, new), encoding="utf-8")


def test_the_protos_keep_what_was_released():
    """The checkout itself passes."""
    assert compare(ROOT) == (0, "")


def test_additions_pass(tree):
    """A new field in a message is what minor versions bring."""
    change(tree, "string bundle_name = 2;", "string bundle_name = 2;\n  string more = 50;")
    assert compare(tree) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("string bundle_name = 2;", "", 'field "2" with name "bundle_name"'),
        ("string bundle_name = 2;", "bytes bundle_name = 2;", 'from "string" to "bytes"'),
        ("string bundle_name = 2;", "string bundle_title = 2;", 'to "bundle_title"'),
        (
            "rpc ListTasks(ListTasksRequest) returns (ListTasksResponse)",
            "rpc ListTasks(ListTasksRequest) returns (stream ListTasksResponse)",
            "streaming",
        ),
    ],
    ids=["removed", "retyped", "renamed", "streamed"],
)
def test_what_breaks_callers_fails(tree, old, new, said):
    """A field or method that callers may use cannot go or change."""
    change(tree, old, new)
    status, output = compare(tree)
    assert status != 0
    assert said in output
