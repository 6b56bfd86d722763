#!/usr/bin/env bash
# Generates the client's stubs from protos/ into the folder given (default: the checked-in place).
# Run inside an environment with the pinned grpcio-tools and mypy-protobuf (constraints.txt).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-clients/python}
python=$(command -v "${PYTHON:-python3}")
PATH="$(dirname "$python"):$PATH"
mkdir -p "$out"
protoc() { "$python" -m grpc_tools.protoc -Iprotos -Ithird_party/googleapis "$@"; }
protoc --python_out="$out" --mypy_out="quiet:$out" protos/polyhead/v1/*.proto
protoc --grpc_python_out="$out" --mypy_grpc_out="quiet:$out" protos/polyhead/v1/*_service.proto
