#!/bin/sh
# Generate app/content/containerd/containerd_pb2.py and .pyi from containerd.proto, into the folder given or app/content/containerd.
# PYTHON may name another interpreter; it needs grpcio-tools (extra "test").
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/../app/content/containerd}
exec "${PYTHON:-$here/../.venv/bin/python}" -m grpc_tools.protoc -I "$here" \
    --python_out="$out" --pyi_out="$out" "$here/containerd.proto"
