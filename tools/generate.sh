#!/usr/bin/env bash
# Generates from protos/ the client's stubs, the server's stubs for the Open Inference Protocol, and
# the gateway's descriptions of the API, in their places below the folder given (default: the checkout).
# Run inside an environment with the pinned grpcio-tools and mypy-protobuf (constraints.txt).
set -euo pipefail
cd "$(dirname "$0")/.."
root=${1:-.}
client=$root/clients/python
server=$root/server/polyhead_server
python=$(command -v "${PYTHON:-python3}")
PATH="$(dirname "$python"):$PATH"
mkdir -p "$client" "$server"
protoc() { "$python" -m grpc_tools.protoc -Iprotos -Ithird_party/googleapis "$@"; }
protoc --python_out="$client" --mypy_out="quiet:$client" protos/polyhead/v1/*.proto protos/polyhead/admin/v1/*.proto
protoc --grpc_python_out="$client" --mypy_grpc_out="quiet:$client" protos/polyhead/{v1,admin/v1}/*_service.proto
protoc --python_out="$server" --mypy_out="quiet:$server" protos/inference/*.proto
"$python" -m tools.describe "$server/gateway/data"
