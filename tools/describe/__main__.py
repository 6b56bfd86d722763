"""Describes the API from protos/.

`python -m tools.describe FOLDER` writes FOLDER/polyhead.binpb, the descriptor set with everything
that is imported and the health service, and FOLDER/site/openapi.json. Needs grpcio-tools.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2

from tools.describe.openapi import openapi

ROOT = Path(__file__).parents[2]
INCLUDES = (ROOT / "protos", ROOT / "third_party/googleapis")
DETAILS = "google/rpc/error_details.proto"
"""Not imported by any service; needed to turn the details of errors into JSON."""


def compile_protos() -> FileDescriptorSet:
    """Every public proto of ours with its imports and comments, in a stable order."""
    protos = INCLUDES[0]
    names = sorted(
        str(path.relative_to(protos))
        for path in protos.rglob("*.proto")
        if "admin" not in path.relative_to(protos).parts
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.binpb"
        subprocess.run(  # noqa: S603 - the compiler of this environment, on files of this checkout
            [
                *(sys.executable, "-m", "grpc_tools.protoc"),
                *(f"-I{include}" for include in INCLUDES),
                *("--include_imports", "--include_source_info"),
                f"--descriptor_set_out={out}",
                *(*names, DETAILS),
            ],
            check=True,
        )
        return FileDescriptorSet.FromString(out.read_bytes())


def without_comments(files: FileDescriptorSet) -> FileDescriptorSet:
    """What a gateway needs: the same without comments, and with the health service."""
    bare = FileDescriptorSet(file=files.file)
    health = FileDescriptorProto()
    health_pb2.DESCRIPTOR.CopyToProto(health)
    bare.file.append(health)
    for file in bare.file:
        file.ClearField("source_code_info")
    return bare


def main() -> None:
    """Write both descriptions."""
    folder = Path(sys.argv[1])
    (folder / "site").mkdir(parents=True, exist_ok=True)
    files = compile_protos()
    bare = without_comments(files).SerializeToString(deterministic=True)
    (folder / "polyhead.binpb").write_bytes(bare)
    text = json.dumps(openapi(files), indent=1, ensure_ascii=False)
    (folder / "site" / "openapi.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
