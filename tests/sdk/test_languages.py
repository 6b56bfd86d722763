"""The recipe in buf.gen.yaml gives clients in Go and Java from the public protos."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("protoc", "protoc-gen-go", "protoc-gen-go-grpc", "grpc_java_plugin")


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The folder that `buf generate` filled."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {' '.join(missing)}: run `make sdk-packages`")
    folder = tmp_path_factory.mktemp("languages")
    buf = Path(sys.executable).with_name("buf")
    subprocess.run([buf, "generate", "-o", folder], cwd=ROOT, check=True)
    return folder / "gen"


def test_go(generated):
    """A package of its own below the module's path, with messages, a client and a server."""
    folder = generated / "go/polyhead/v1"
    protos = [path.stem for path in (ROOT / "protos/polyhead/v1").glob("*.proto")]
    expected = {f"{name}.pb.go" for name in protos} | {"annotation_service_grpc.pb.go"}
    assert {path.name for path in folder.iterdir()} == expected
    stubs = (folder / "annotation_service_grpc.pb.go").read_text(encoding="utf-8")
    assert "package polyheadv1\n" in stubs
    for method in ("Annotate", "AnnotateStream", "ListTasks"):
        assert f"func (c *annotationServiceClient) {method}(" in stubs


def test_java(generated):
    """A class for each message, in files of their own, and stubs of every kind."""
    folder = generated / "java/com/polyhead/v1"
    for message in ("AnnotateRequest", "DocumentAnnotation", "TaskResult", "Task", "WordList"):
        code = (folder / f"{message}.java").read_text(encoding="utf-8")
        assert "package com.polyhead.v1;" in code
        assert f"public final class {message} extends" in code.replace("  ", " ")
    stubs = (folder / "AnnotationServiceGrpc.java").read_text(encoding="utf-8")
    for kind in ("Stub", "BlockingStub", "FutureStub"):
        assert f"class AnnotationService{kind}" in stubs


def test_nothing_else_is_generated(generated):
    """Google's messages come with Google's packages; the Open Inference Protocol has clients."""
    assert [path.name for path in (generated / "go").iterdir()] == ["polyhead"]
    assert [path.name for path in (generated / "java/com").iterdir()] == ["polyhead"]
